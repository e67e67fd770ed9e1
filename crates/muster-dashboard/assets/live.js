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
  const copy = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      // Without a secure context there is no clipboard: mark the text, so that the keys copy it.
      const code = button.parentElement?.querySelector("code");
      if (!code) return;
      getSelection()?.selectAllChildren(code);
      if (!document.execCommand("copy")) return;
    }
    announce.textContent = "Copied";
    const word = button.querySelector(".copy-word");
    if (word) {
      word.textContent = "Copied";
      setTimeout(() => { word.textContent = "Copy"; announce.textContent = ""; }, 1600);
    }
  };

  // --- live parts: they name the events that change them, and are fetched anew -------------------------------------
  const parts = () => [...document.querySelectorAll("[data-live]")];
  // Somebody is choosing in it: it waits until they are done.
  const isHeld = (part) => part.hasAttribute("data-hold") && part.querySelector("input[type=checkbox]:checked") !== null;
  const waiting = new Set();
  const fetchedAt = new Map();
  const EASE = 2000;
  const refresh = (part) => {
    if (!part.id || waiting.has(part.id)) return;
    waiting.add(part.id);
    // The first look is at once; while events keep coming there is one every two or three seconds, not all pages at the same moment.
    // A part that says its own pace, like the log of a job that runs, keeps it.
    const ease = Math.min(EASE, Number(part.dataset.liveEvery ?? 30) * 900);
    const rest = (fetchedAt.get(part.id) ?? 0) + ease - Date.now();
    setTimeout(() => {
      waiting.delete(part.id);
      const there = document.getElementById(part.id);
      if (!there || document.hidden) return;
      if (isHeld(there)) { setTimeout(() => refresh(there), EASE); return; }
      fetchedAt.set(part.id, Date.now());
      there.dispatchEvent(new CustomEvent("live"));
    }, rest > 0 ? rest + Math.random() * ease / 2 : 100);
  };
  const concerns = (part, kind) =>
    part.dataset.live.split(" ").some((word) => word && (word.endsWith(".") ? kind.startsWith(word) : kind === word));
  const changed = (kind) => parts().filter((part) => concerns(part, kind)).forEach(refresh);

  // The page says when it is not true any more.
  const state = document.getElementById("live-state");
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  let trueAt = Date.now();
  const isStale = new Set();
  const tell = () => {
    const words = isStale.size ? `Not up to date since ${clock.format(trueAt)}` : "";
    if (state && state.textContent !== words) state.textContent = words;
  };
  const stale = (why) => {
    if (!isStale.size) trueAt = Date.now();
    isStale.add(why);
    // A stream that is back in a moment is not worth a word.
    setTimeout(tell, 3000);
  };
  const fresh = (why) => { isStale.delete(why); if (!isStale.size) tell(); };

  const address = document.body.dataset.liveStream;
  const KINDS = (document.querySelector("meta[name=event-kinds]")?.content ?? "").split(" ").filter(Boolean);
  let source = null;
  let pause = 1000;
  const stop = () => { source?.close(); source = null; };
  const start = () => {
    if (source || !address || document.hidden || !parts().length) return;
    source = new EventSource(address);
    source.onopen = () => {
      pause = 1000;
      fresh("stream");
      // What happened since the page was made, while nobody listened, is seen by looking anew.
      parts().forEach(refresh);
    };
    source.onerror = () => {
      stale("stream");
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
  document.addEventListener("htmx:config:request", (event) => {
    event.detail.ctx.request.headers["Muster-Shown-Team"] = document.body.dataset.team ?? "";
  });
  for (const failure of ["htmx:error", "htmx:response:error"]) {
    document.addEventListener(failure, () => stale("part"));
  }
  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx } = event.detail;
    // An answer without the part would take it off the page for good.
    if (ctx?.select && ctx.text !== undefined && !new DOMParser().parseFromString(ctx.text, "text/html").querySelector(ctx.select)) {
      event.preventDefault();
      location.reload();
    }
  });

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
    for (const open of document.querySelectorAll("details.person[open], details.menu[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });

  // --- keys: a letter that a button names in data-key presses it; / searches; j and k go from one to the next -------
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const open of document.querySelectorAll("details.person[open], details.menu[open]")) {
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
    // A letter acts only on what has the focus: never on whatever happens to stand first.
    const near = document.activeElement?.closest("[data-item]");
    const button = near?.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    // A letter decides about the one that is chosen, never about the first that happens to be there.
    const isMeant = button && (near !== document || !button.closest("[data-item]"));
    if (isMeant && !button.disabled) { event.preventDefault(); button.focus(); button.click(); }
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
  document.addEventListener("htmx:after:swap", () => {
    for (const details of opened.splice(0)) details.open = true;
    fresh("part");
    tellTimes(document);
    countBulk();
    follow();
    start();
  });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted) start(); });
  document.body.append(announce);
  tellTimes(document);
  countBulk();
  follow();
  start();
})();
