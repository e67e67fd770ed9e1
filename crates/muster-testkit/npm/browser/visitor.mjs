// One person's browser. It keeps everything that went wrong on its pages: errors of scripts and on the console,
// refused by the content security policy, requests to other origins, answers of a server that failed.
import { mkdirSync } from "node:fs";
import axe from "axe-core";

const PATIENCE_MS = 20_000;

const isStream = (response) => new URL(response.url()).pathname === "/live" && response.ok();

export class Visitor {
  troubles = [];
  #expected = [];
  #isLive = false;

  static async open(stage, name, options) {
    const visitor = new Visitor();
    visitor.stage = stage;
    visitor.name = name;
    visitor.context = await stage.chromium.newContext({
      baseURL: stage.url,
      viewport: { width: 1280, height: 860 },
      // Neither the zone nor the language of the server.
      timezoneId: "Pacific/Auckland",
      locale: "en-GB",
      permissions: ["clipboard-read", "clipboard-write"],
      reducedMotion: "reduce",
      ...options,
    });
    visitor.context.setDefaultTimeout(PATIENCE_MS);
    await visitor.context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
    visitor.context.on("page", (page) => visitor.#watch(page));
    visitor.page = await visitor.context.newPage();
    return visitor;
  }

  #watch(page) {
    const origin = new URL(this.stage.url).origin;
    page.on("console", (message) => {
      if (message.type() === "error") this.#trouble(`console: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => this.#trouble(`script: ${error.stack ?? error}`));
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (!["data:", "blob:", "about:"].includes(url.protocol) && url.origin !== origin) {
        this.#trouble(`a request to another origin: ${request.url()}`);
      }
    });
    page.on("framenavigated", (frame) => {
      if (frame === page.mainFrame()) this.#isLive = false;
    });
    page.on("response", (response) => {
      if (isStream(response)) this.#isLive = true;
      if (response.status() >= 500) this.#trouble(`the server failed: ${response.status()} ${response.url()}`);
    });
    page.on("dialog", (dialog) => {
      this.#trouble(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  #trouble(text) {
    if (!this.#expected.some((expected) => expected.test(text))) this.troubles.push(text);
  }

  // What this flow provokes, and is no trouble: a refused form is a 4xx, and Chromium tells it as an error.
  expects(pattern) {
    this.#expected.push(pattern);
  }

  async goto(path) {
    const response = await this.page.goto(path, { waitUntil: "load" });
    if (response && response.status() >= 400) throw new Error(`GET ${path}: ${response.status()}`);
    return response;
  }

  async signIn(login, password) {
    await this.goto("/sign-in");
    await this.fillSignIn(login, password);
    await this.heading("Overview");
  }

  async fillSignIn(login, password) {
    await this.page.getByLabel("Login").fill(login);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Sign in", exact: true }).click();
  }

  // Waits for the main heading of a page.
  async heading(name) {
    await this.page.getByRole("heading", { level: 1, name }).waitFor();
  }

  async sees(text, within = this.page) {
    await within.getByText(text).filter({ visible: true }).first().waitFor();
  }

  async presses(name, within = this.page) {
    await within.getByRole("button", { name }).first().click();
  }

  async follows(name, within = this.page) {
    await within.getByRole("link", { name }).first().click();
  }

  // Waits until a line of a table that shows `text` is there, and returns it.
  async row(text) {
    const row = this.page.getByRole("row").filter({ hasText: text }).first();
    await row.waitFor();
    return row;
  }

  // Waits until the page hears of what happens.
  async live() {
    if (!this.#isLive) await this.page.waitForResponse(isStream);
  }

  // Begins to measure how long after an event of this kind a line of a table holds a word, and whether anything jumps.
  async measures(kind, line, word) {
    await this.page.evaluate(({ kind, line, word }) => new Promise((listens) => {
      const measured = { shifts: [] };
      window.measured = new Promise((done) => {
        const look = () => {
          const row = [...document.querySelectorAll("tr")].find((row) => row.textContent.includes(line));
          if (measured.seen || !row?.textContent.includes(word)) return;
          measured.seen = performance.now();
          requestAnimationFrame(() => requestAnimationFrame(() => done(measured)));
        };
        new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
      });
      new PerformanceObserver((list) => {
        // What holds the word may grow with it; everything else stays where it is.
        const others = list.getEntries().flatMap(({ sources }) => sources).filter(({ node, previousRect, currentRect }) =>
          !node?.textContent?.includes(word) && (previousRect.x !== currentRect.x || previousRect.y !== currentRect.y));
        measured.shifts.push(...others.map(({ node, previousRect: { x, y }, currentRect }) =>
          `${node?.parentElement?.tagName} ${node?.textContent?.slice(0, 60)} from ${x},${y} to ${currentRect.x},${currentRect.y}`));
      }).observe({ type: "layout-shift" });
      const source = new EventSource("/live");
      source.addEventListener(kind, () => { measured.heard ??= performance.now(); });
      source.addEventListener("open", listens);
    }), { kind, line, word });
  }

  // What `measures` found.
  async measured() {
    const { heard, seen, shifts } = await this.page.evaluate(() => window.measured);
    if (heard === undefined) throw new Error("no event of this kind was heard");
    return { fromEvent: Math.round(seen - heard), shifts };
  }

  // Holds the page against the rules of axe-core; scripts that the page would refuse are run by the debugger.
  // `rules`: only these, when the page was looked at before.
  async assertAccessible(what, rules) {
    if (!(await this.page.evaluate(() => "axe" in window))) await this.page.evaluate(axe.source);
    const violations = await this.page.evaluate(async (rules) => {
      const only = rules ? { runOnly: { type: "rule", values: rules } } : {};
      const { violations } = await window.axe.run(document, { resultTypes: ["violations"], ...only });
      return violations.map(({ id, impact, help, nodes }) => ({
        id, impact, help, nodes: nodes.map(({ target, html, failureSummary }) => ({ target, html, failureSummary })),
      }));
    }, rules);
    for (const { id, impact, help, nodes } of violations) {
      const where = nodes.slice(0, 4).map((node) => `\n      ${node.target.join(" ")}: ${node.html.slice(0, 200)}\n      ${node.failureSummary.replaceAll("\n", " ")}`);
      this.troubles.push(`axe-core on ${what}: ${id} (${impact}) ${help}, ${nodes.length}×${where.join("")}`);
    }
  }

  async assertNoSidewaysScroll(what) {
    const [wide, shown, who] = await this.page.evaluate(() => {
      const width = document.documentElement.clientWidth;
      const beyond = [...document.body.querySelectorAll("*")].filter((element) => {
        const box = element.getBoundingClientRect();
        return box.width > 0 && box.right > width + 1;
      });
      const names = beyond.slice(0, 5).map((element) => `${element.tagName.toLowerCase()}.${element.className}`);
      return [document.documentElement.scrollWidth, width, names.join(" ")];
    });
    if (wide > shown) this.troubles.push(`${what}: ${wide} px wide, ${shown} px shown: ${who}`);
  }

  async shot(name) {
    mkdirSync(this.stage.screenshots, { recursive: true });
    await this.page.screenshot({ path: `${this.stage.screenshots}/${name}.png` });
  }

  async tell() {
    console.log(`${this.name} is at ${this.page.url()}`);
    for (const trouble of this.troubles) console.log(`${this.name}: ${trouble}`);
    console.log(await this.page.locator("body").ariaSnapshot({ timeout: 2000 }));
    await this.shot(`failed-${process.env.MUSTER_FLOW_NAME ?? "flow"}-${this.name}`);
  }
}
