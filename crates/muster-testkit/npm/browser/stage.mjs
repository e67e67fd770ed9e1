// The browser of a flow, and the way to the test that plays it: the test does what people do outside of the browser.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { Visitor } from "./visitor.mjs";

export class Stage {
  url = process.env.MUSTER_URL;
  settings = JSON.parse(process.env.MUSTER_FLOW ?? "{}");
  screenshots = process.env.MUSTER_SCREENSHOTS;
  visitors = [];

  static async open() {
    const stage = new Stage();
    const args = ["--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server", "--hide-scrollbars"];
    stage.chromium = await chromium.launch({
      executablePath: process.env.MUSTER_CHROMIUM,
      chromiumSandbox: process.getuid() !== 0,
      args,
    });
    stage.lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    return stage;
  }

  // A browser of its own: cookies, viewport, colours. `options` are those of playwright's contexts.
  async visitor(name, options = {}) {
    const visitor = await Visitor.open(this, name, options);
    this.visitors.push(visitor);
    return visitor;
  }

  // Asks the test to do something, and waits for its answer.
  async want(what, details = {}) {
    process.stdout.write(`want ${JSON.stringify({ what, details })}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`the test never answered: ${what}`);
    return JSON.parse(value);
  }

  figure(what, value, unit) {
    console.log(`figure: ${what}: ${value} ${unit}`);
  }

  assertNoTrouble() {
    const troubles = this.visitors.flatMap((visitor) => visitor.troubles);
    if (troubles.length) throw new Error(`${troubles.length} things went wrong meanwhile`);
  }

  // Says where everybody stands, for whoever reads why a flow failed.
  async tell() {
    for (const visitor of this.visitors) await visitor.tell().catch((error) => console.log(String(error)));
  }

  async close() {
    this.lines.return?.();
    process.stdin.destroy();
    await this.chromium.close();
  }
}
