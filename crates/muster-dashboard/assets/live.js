// What the pages do beyond links and forms: stay true while something happens, copy, keys, the viewer's own time zone.
// Everything works without it, except by hand.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");

  // --- times: words that stay true, the exact moment in the viewer's zone on hover ---------------------------------
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const span = (seconds) =>
    seconds < 60 ? `${seconds} s`
      : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
      : seconds < 172800 ? `${Math.floor(seconds / 3600)} h`
      : `${Math.floor(seconds / 86400)} d`;
  // The server's clock counts, not the browser's: the difference is taken once, when the page arrives.
  const said = Date.parse(document.querySelector("meta[name=server-time]")?.content ?? "");
  const arrived = performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? performance.now());
  const ahead = Number.isNaN(said) ? 0 : arrived - said;
  const tellTimes = (within) => {
    for (const element of within.querySelectorAll("time[datetime]")) {
      const at = Date.parse(element.dateTime);
      if (Number.isNaN(at)) continue;
      const title = exact.format(at);
      if (element.title !== title) element.title = title;
      const ago = Math.floor((Date.now() - ahead - at) / 1000);
      const words = ago < -1 ? `in ${span(-ago)}` : ago < 5 ? "just now" : `${span(ago)} ago`;
      if (element.textContent !== words) element.textContent = words;
    }
  };

  // --- copying ------------------------------------------------------------------------------------------------------
  const announce = document.createElement("p");
  announce.className = "hidden";
  announce.setAttribute("role", "status");
  const isCopied = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      return true;
    } catch {
      // Without a secure context there is no such clipboard; there is that of a field that is marked.
      const field = document.createElement("textarea");
      field.className = "hidden";
      field.value = button.dataset.copy;
      document.body.append(field);
      field.select();
      const isDone = document.execCommand("copy");
      field.remove();
      button.focus();
      // Refused as well: what is shown is marked, so that the keys copy it.
      if (!isDone) getSelection()?.selectAllChildren(button.closest(".copy")?.querySelector("code") ?? button);
      return isDone;
    }
  };
  const shown = new WeakMap();
  const copy = async (button) => {
    // The same words are told again only when there was nothing in between.
    announce.textContent = "";
    if (!(await isCopied(button))) return;
    const word = button.querySelector(".copy-word");
    const show = (isShown) => {
      announce.textContent = isShown ? "Copied" : "";
      if (word) word.textContent = isShown ? "Copied" : "Copy";
      button.toggleAttribute("data-copied", isShown);
    };
    clearTimeout(shown.get(button));
    setTimeout(show, 50, true);
    shown.set(button, setTimeout(show, 1800, false));
  };

  // --- live parts: they name the events that change them, and are fetched anew -------------------------------------
  const parts = () => [...document.querySelectorAll("[data-live]")];
  // Somebody is choosing in it: it waits until they are done.
  const isHeld = (part) => part.hasAttribute("data-hold") && part.querySelector("input[type=checkbox]:checked") !== null;
  // The first look after a silence is at once; the next one half a second after it. While events keep coming, and where
  // a look takes long, there is one every two seconds at least, and not on all pages at the same moment. A part that
  // says its own pace, like the log of a job that runs, keeps it.
  const QUICK = 500;
  const SLOW = 2000;
  // The events of one change come together.
  const GATHER = 40;
  // Longer than any request may take.
  const LOST = 20000;
  const looks = new Map();
  const address = (part) => part.getAttribute("hx-get") ?? "";
  const refresh = (part) => {
    if (!part.id) return;
    const page = address(part).split("?")[0];
    const look = looks.get(page) ?? { wanted: new Set(), began: -SLOW, took: 0, ease: QUICK, seen: [], timer: 0, isUnderWay: false };
    looks.set(page, look);
    look.wanted.add(part.id);
    const since = performance.now() - look.began;
    if (look.timer || (look.isUnderWay && since < LOST)) return;
    const slow = Math.min(SLOW, Number(part.dataset.liveEvery ?? 30) * 900);
    const ease = Math.min(slow, Math.max(look.ease, look.took * 2));
    const isQuiet = since >= ease;
    look.ease = isQuiet ? QUICK : Math.min(slow, look.ease * 1.5);
    look.timer = setTimeout(see, isQuiet ? GATHER : ease - since + (Math.random() * ease) / 4, look);
  };
  const see = (look) => {
    look.timer = 0;
    const wanted = [...look.wanted].map((id) => document.getElementById(id)).filter((part) => part?.matches("[data-live]"));
    look.wanted.clear();
    if (document.hidden) return;
    const free = wanted.filter((part) => !isHeld(part));
    if (free.length < wanted.length) {
      setTimeout(() => wanted.filter((part) => part.isConnected && !free.includes(part)).forEach(refresh), SLOW);
    }
    const [first] = free;
    if (!first) return;
    // What is on the same page is fetched with it.
    const page = parts().filter((part) => part !== first && part.id && address(part) === address(first));
    const others = page.filter((part) => !isHeld(part) && !part.contains(first) && !first.contains(part));
    look.seen = [first, ...others].map((part) => part.id);
    look.began = performance.now();
    look.isUnderWay = true;
    first.dispatchEvent(new CustomEvent("live"));
    free.filter((part) => !look.seen.includes(part.id)).forEach((part) => look.wanted.add(part.id));
  };
  const lookOf = (event) => event.detail.ctx?.look;
  const concerns = (part, kind) =>
    part.dataset.live.split(" ").some((word) => word && (word.endsWith(".") ? kind.startsWith(word) : kind === word));
  const changed = (kind) => parts().filter((part) => concerns(part, kind)).forEach(refresh);
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    ctx.request.headers["Muster-Shown-Team"] = document.body.dataset.team ?? "";
    const part = ctx.sourceElement;
    const look = looks.get(address(part).split("?")[0]);
    if (look?.seen[0] !== part.id) return;
    ctx.look = look;
    ctx.selectOOB = look.seen.slice(1).map((id) => `#${CSS.escape(id)}:outerMorph`).join(",");
  });
  document.addEventListener("htmx:finally:request", (event) => {
    const look = lookOf(event);
    if (!look) return;
    look.isUnderWay = false;
    look.took = performance.now() - look.began;
    // What happened meanwhile may be in it, or not.
    for (const id of look.wanted) {
      const part = document.getElementById(id);
      if (part?.matches("[data-live]")) refresh(part);
    }
  });

  // The page says when it is not true any more: since the last good look at what fails.
  const state = document.getElementById("live-state");
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const STREAM = Symbol("stream");
  const goodAt = new Map();
  const failing = new Set();
  const tell = () => {
    if (!state) return;
    for (const id of failing) {
      if (id !== STREAM && !document.getElementById(id)) failing.delete(id);
    }
    const behind = failing.has(STREAM) ? parts().map((part) => part.id) : [...failing];
    const since = behind.map((id) => goodAt.get(id) ?? arrived);
    if (!failing.size || !since.length) { state.textContent = ""; return; }
    // The words are announced once, not with every look.
    const moment = state.querySelector("span") ?? document.createElement("span");
    moment.setAttribute("aria-live", "off");
    moment.textContent = clock.format(Math.min(...since));
    if (!moment.isConnected) state.replaceChildren("Not up to date since ", moment);
  };
  const stale = (...ids) => {
    for (const id of ids) failing.add(id);
    // A stream that is back in a moment is not worth a word.
    setTimeout(tell, 3000);
  };
  const fresh = (...ids) => {
    for (const id of ids) {
      failing.delete(id);
      goodAt.set(id, Date.now());
    }
    if (state?.textContent) tell();
  };
  for (const failure of ["htmx:error", "htmx:response:error"]) {
    document.addEventListener(failure, (event) => stale(...(lookOf(event)?.seen ?? [event.target.id])));
  }
  // What is refused is put nowhere; a swap is told of all the same.
  const isAnswered = (event) => event.detail.ctx?.response?.status < 300;
  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx } = event.detail;
    if (!isAnswered(event) || !ctx.select || ctx.text === undefined) return;
    const answer = new DOMParser().parseFromString(ctx.text, "text/html");
    const looked = ctx.look?.seen.map((id) => `#${CSS.escape(id)}`) ?? [ctx.select];
    // An answer without the part would take it off the page for good.
    if (looked.every((part) => answer.querySelector(part))) return;
    event.preventDefault();
    location.reload();
  });

  const stream = document.body.dataset.liveStream;
  const KINDS = (document.querySelector("meta[name=event-kinds]")?.content ?? "").split(" ").filter(Boolean);
  // A page that was just made says up to which event it is true: its stream goes on from there, and nothing is missed.
  const JUST = 10000;
  let source = null;
  let isFirst = true;
  let pause = 1000;
  const stop = () => { source?.close(); source = null; };
  const start = () => {
    if (source || !stream || document.hidden || !parts().length) return;
    const goesOn = isFirst && stream.includes("?after=") && Date.now() - arrived < JUST;
    isFirst = false;
    source = new EventSource(goesOn ? stream : stream.split("?")[0]);
    source.onopen = () => {
      pause = 1000;
      fresh(STREAM);
      // What happened while nobody listened is seen by looking anew.
      if (!goesOn) parts().forEach(refresh);
    };
    source.onerror = () => {
      stale(STREAM);
      if (source?.readyState !== EventSource.CLOSED) return;
      stop();
      // Refused, not lost: looking anew says why, and leads to where one signs in.
      parts().forEach(refresh);
      setTimeout(start, pause + Math.random() * 1000);
      pause = Math.min(pause * 2, 30000);
    };
    for (const kind of KINDS) source.addEventListener(kind, () => changed(kind));
    source.addEventListener("gap", () => parts().forEach(refresh));
  };

  // A hidden page listens to nothing: a browser opens six connections to a server, whatever the number of its tabs.
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else start(); });
  let seconds = 0;
  setInterval(() => {
    if (document.hidden) return;
    seconds += 1;
    for (const part of parts()) {
      // A stream that died in silence does not say so: every part is looked at now and then.
      if (seconds % Number(part.dataset.liveEvery ?? 30) === 0) refresh(part);
    }
    if (seconds % 5 === 0) tellTimes(document);
  }, 1000);

  // --- forms --------------------------------------------------------------------------------------------------------
  // The secret of a link stands behind its #, which browsers keep to themselves: it goes into the form, out of the address.
  const takeFragment = () => {
    const field = document.querySelector("[data-from-fragment]");
    if (!field) return;
    const secret = location.hash.slice(1);
    if (secret) {
      field.value = secret;
      history.replaceState(history.state, "", location.pathname + location.search);
    }
    // Where it was refused it is shown, so that another one can be pasted.
    const isRefused = document.querySelector(".notice.bad") && !document.querySelector(".field-error");
    const isTaken = field.value !== "" && (secret !== "" || !isRefused);
    const label = field.closest("[data-hidden-when-filled]");
    if (label) label.hidden = isTaken;
  };
  // Hints and errors are told of a field, and are no part of its name.
  let ties = 0;
  const named = (element) => {
    ties += 1;
    return (element.id ||= `about-${ties}`);
  };
  const tieFields = () => {
    for (const field of document.querySelectorAll(".field, fieldset")) {
      const told = [...field.querySelectorAll(":scope > small, :scope > .field-error")];
      const isGroup = field.matches("fieldset");
      const control = isGroup ? field : field.querySelector("input, select, textarea");
      if (!told.length || !control || control.hasAttribute("aria-describedby")) continue;
      control.setAttribute("aria-describedby", told.map(named).join(" "));
      const name = field.querySelector(":scope > span:first-child");
      if (name && !isGroup) control.setAttribute("aria-labelledby", named(name));
      if (!isGroup && told.some((text) => text.matches(".field-error"))) control.setAttribute("aria-invalid", "true");
    }
  };
  // What came of a form is read first, unless somebody is to type at once.
  const focusNotice = () => {
    const notice = document.querySelector("main .notice[role]");
    if (!notice || notice.closest("[data-live]") || location.hash) return;
    const typed = document.querySelector("[autofocus]");
    if (typed) {
      typed.setAttribute("aria-describedby", `${named(notice)} ${typed.getAttribute("aria-describedby") ?? ""}`.trim());
      return;
    }
    notice.tabIndex = -1;
    notice.focus({ preventScroll: true });
  };
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.matches?.("[data-submit]")) field.form.requestSubmit();
    if (field.matches?.("[data-all]")) {
      for (const box of document.querySelectorAll(`input[name="${field.dataset.all}"]`)) box.checked = field.checked;
    }
    countBulk();
  });
  const countBulk = () => {
    const bulk = document.querySelector("[data-bulk]");
    if (!bulk) return;
    const count = document.querySelectorAll(`input[name="${bulk.dataset.bulk}"]:checked`).length;
    bulk.hidden = count === 0;
    const told = bulk.querySelector("[data-count]");
    if (told) told.textContent = String(count);
  };
  document.addEventListener("submit", (event) => {
    // A form is sent once; the server knows it again as well.
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    setTimeout(() => { delete form.dataset.sent; }, 5000);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (button) copy(button);
    for (const open of document.querySelectorAll("details.person[open], details.menu[open], details.drop[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });

  // --- keys: a letter that a button names in data-key presses it; / searches; j and k go from one to the next -------
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const open of document.querySelectorAll("details.person[open], details.menu[open], details.drop[open]")) {
        open.open = false;
        open.querySelector("summary").focus();
      }
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
    if (event.target.matches?.("input:not([type=checkbox]):not([type=radio]), select, textarea")) return;
    if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
      return;
    }
    if (event.key === "j" || event.key === "k") {
      const items = [...document.querySelectorAll("[data-item]")];
      if (!items.length) return;
      const now = items.indexOf(document.activeElement?.closest("[data-item]"));
      const next = items[Math.min(Math.max(now + (event.key === "j" ? 1 : -1), 0), items.length - 1)];
      next.focus();
      next.scrollIntoView({ block: "nearest" });
      return;
    }
    // A letter decides about the one that has the focus, never about the first that happens to be there.
    const button = document.activeElement?.closest("[data-item]")?.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (button && !button.disabled) { event.preventDefault(); button.focus(); button.click(); }
  });

  // --- logs stay at their end while nobody scrolled up ---------------------------------------------------------------
  const held = new WeakSet();
  const follow = () => {
    for (const log of document.querySelectorAll(".log[data-follow]")) {
      if (!held.has(log)) log.scrollTop = log.scrollHeight;
    }
  };
  document.addEventListener("scroll", (event) => {
    const log = event.target;
    if (!log.matches?.(".log[data-follow]")) return;
    if (log.scrollHeight - log.scrollTop - log.clientHeight > 24) held.add(log); else held.delete(log);
  }, true);

  // What somebody opened stays open when its part is fetched anew.
  let opened = [];
  document.addEventListener("htmx:before:swap", () => { opened = [...document.querySelectorAll("[data-live] details[open]")]; });
  document.addEventListener("htmx:after:swap", (event) => {
    for (const details of opened.splice(0)) details.open = true;
    if (isAnswered(event)) fresh(...(lookOf(event)?.seen ?? []));
    tellTimes(document);
    tieFields();
    countBulk();
    follow();
    start();
  });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted) start(); });
  addEventListener("hashchange", takeFragment);
  document.body.append(announce);
  takeFragment();
  tieFields();
  focusNotice();
  tellTimes(document);
  countBulk();
  follow();
  start();
})();
