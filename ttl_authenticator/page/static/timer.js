// @ts-check
// Reports a human's input, warns before the session's end and leaves the page then.
// The server judges: what a tab knows or hears is a hint.
// Times are in milliseconds, moments absolute.
(() => {
  "use strict";

  const script = /** @type {any} */ (document.currentScript);
  const config = script.dataset;
  const root = document.documentElement;
  // in a frame the page around it watches, warns and leaves
  for (let page = /** @type {any} */ (self); ; page = page.parent) {
    try {
      if (page.document.documentElement.dataset.ttl) return;
    } catch {} // another origin's
    if (page === top) break;
  }
  const { fetch } = self; // workspace.js holds the page's own
  const { content } = script.previousElementSibling;

  // timers stand still while a laptop sleeps: look at the clock
  const POLL = 10000;
  const now = () => Date.now();
  const { max, min } = Math;
  /** @param {any} seconds none = no limit */
  const duration = (seconds) => ((seconds ?? "") === "" ? Infinity : seconds * 1000);
  /** @param {string} url where to come back from; on another host it must know ours */
  function withNext(url) {
    const { href, origin } = location;
    const next = new URL(url, href).origin === origin ? href.slice(origin.length) : href;
    return `${url}next=${encodeURIComponent(next)}`;
  }

  const prefix = `ttl1:${config.baseUrl}:`;
  const messages = JSON.parse(config.messages || "{}");

  /** What the tabs share. */
  const state = {
    lastInput: 0,
    reported: 0, // the last input that the server knows
    checked: now(), // when it was last asked
    beat: 0,
    idleEnd: now() + duration(config.idleRemaining),
    allowance: duration(config.idleRemaining), // what an input gives: never too much
    lifetimeEnd: now() + duration(config.lifetimeRemaining),
    remindAt: 0, // when a dismissed warning comes back
    warning: duration(config.warningPeriod),
    interval: duration(config.heartbeatInterval),
  };

  let session = config.session;
  let ownInput = 0;
  let timer = 0;
  let left = false;
  let confirming = false;
  let covered = false;
  let suspect = false; // hidden until the server vouches for it
  /** @type {any} */
  let cover;
  /** @type {ReturnType<typeof buildWarning> | undefined} */
  let warning;
  const listening = new AbortController();
  const { signal } = listening;

  const idleDeadline = () => max(state.idleEnd, state.lastInput + state.allowance);
  const deadline = () => min(idleDeadline(), state.lifetimeEnd);
  const kind = () => (state.lifetimeEnd <= idleDeadline() ? "lifetime" : "idle");

  /** @type {any} workspace.js replaces the first three, and calls the others */
  const workspace = { hold() {}, save() {}, due: () => Infinity, listen, look, distrust };

  /**
   * @param {string} name
   * @param {(message: any) => void} receive
   */
  function openChannel(name, receive) {
    try {
      const channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => receive(data);
      return channel;
    } catch {
      addEventListener("storage", ({ key, newValue }) => {
        if (key === name && newValue)
          // JSON writes Infinity as null
          receive(JSON.parse(newValue, (_, value) => value ?? Infinity));
      });
      return {
        postMessage(/** @type {any} */ message) {
          store(name, JSON.stringify(message));
          store(name, "");
        },
        close: () => (name = ""),
      };
    }
  }

  /** @param {[string, string]} item */
  function store(...item) {
    try {
      localStorage.setItem(...item);
    } catch {} // forbidden or full
  }

  function lastBeat() {
    let at = state.beat;
    try {
      at = max(at, Number(localStorage.getItem(prefix)));
    } catch {}
    return at <= now() ? at : 0; // a moment to come is a wrong clock's
  }

  const join = () => openChannel(prefix + session, receive);

  /** @param {any} theirs */
  function receive(theirs) {
    if (theirs.ended) return look();
    // as with input: after the end only the server revives
    if (now() < deadline()) {
      const { lastInput, reported, remindAt, idleEnd } = state;
      const newer = theirs.checked > state.checked;
      if (newer) Object.assign(state, theirs);
      else state.idleEnd = max(idleEnd, theirs.idleEnd);
      state.lastInput = max(lastInput, theirs.lastInput);
      state.reported = max(reported, theirs.reported);
      state.remindAt = max(remindAt, theirs.remindAt);
    }
    check();
  }

  // read each time: a login in another tab changes it
  const xsrf = () =>
    /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? config.xsrf ?? "";

  /**
   * @param {any} report
   * @returns {Promise<any>} null = no server
   */
  async function request(report) {
    const sent = xsrf();
    const aborter = new AbortController();
    const timeout = setTimeout(() => aborter.abort(), 5000);
    try {
      const response = await fetch(config.sessionUrl, {
        method: report ? "POST" : "GET",
        body: report || null,
        headers: { "Content-Type": "application/json", "X-XSRFToken": sent },
        cache: "no-store",
        signal: aborter.signal,
      });
      if (response.status === 403) // or a new token came
        return sent === xsrf() ? { state: "ended", reason: "logout" } : request(report);
      const answer = await response.json();
      return answer.state ? answer : null;
    } catch {
      return null;
    } finally {
      clearTimeout(timeout);
    }
  }

  /** Report what the server doesn't know yet; tell whether the session lives. */
  async function ask(input = state.lastInput) {
    const sent = (state.checked = now());
    const report =
      input > state.reported && JSON.stringify({ idle_seconds: (sent - input) / 1000 });
    const answer = await request(report);
    if (left) return false;
    const { user, session: renewed } = { ...config, ...answer };
    const alive = answer && answer.state !== "ended" && user === config.user;
    const overtaken = sent < state.checked;
    if (answer && !alive && !overtaken) {
      leave(answer.reason ?? "replaced");
      return false;
    }
    if (alive) {
      state.lastInput = max(state.lastInput, input);
      state.reported = max(state.reported, input);
      const idleEnd = sent + duration(answer.idle_remaining);
      // newer limits are known, but activity moves forward only
      state.idleEnd = overtaken ? max(state.idleEnd, idleEnd) : idleEnd;
      if (!overtaken) {
        state.allowance = idleEnd - (report ? input : sent);
        state.lifetimeEnd = sent + duration(answer.lifetime_remaining);
        state.warning = duration(answer.warning_period ?? 0);
        state.interval = duration(answer.heartbeat_interval);
        if (session !== renewed) {
          session = renewed;
          channel.close();
          channel = join();
        }
      }
    }
    channel.postMessage(state);
    return alive;
  }

  async function look() {
    await ask();
    check();
  }

  /** @param {any} target */
  function listen(target) {
    for (const type of "pointerdown pointermove keydown wheel touchstart scroll".split(" "))
      target.addEventListener(type, onInput, { capture: true, passive: true, signal });
  }

  /** @param {any} event */
  function onInput(event) {
    const { type } = event;
    // not human: scripts, content that moves under a pointer or scrolls itself
    if (!event.isTrusted) return;
    if (type === "pointermove" && !event.movementX && !event.movementY) return;
    if (type === "scroll" && !navigator.userActivation?.isActive) return;
    const at = now();
    // the move that wakes a laptop comes after the end
    if (at >= deadline()) return check();
    const warned = warning?.dialog.open && kind() === "idle";
    if (warned || suspect || at - ownInput < 1000) return;
    ownInput = state.lastInput = at;
    channel.postMessage(state);
    check();
  }

  // the tab with the last input comes first; others stand in, if it has gone
  const patience = 1000 + Math.random() * 3000;
  const turn = () => (state.lastInput > ownInput ? patience : 0);

  const heartbeatDue = () =>
    state.lastInput > state.reported
      ? max(lastBeat() + state.interval, state.lastInput) + turn()
      : Infinity;

  function check() {
    clearTimeout(timer);
    if (left || confirming || !document.body) return;
    const at = now();
    const end = deadline();
    if (suspect || at >= end) return void confirmEnd();
    let next = min(at + POLL, end, warn(at), workspace.due(end, state.allowance));
    if (at < heartbeatDue()) next = min(next, heartbeatDue());
    else {
      state.beat = at;
      store(prefix, `${at}`); // before sending: the other tabs see it
      look();
    }
    timer = setTimeout(check, next - at);
  }

  /**
   * @param {number} at
   * @returns when to come back
   */
  function warn(at) {
    const remaining = deadline() - at;
    const due = max(deadline() - state.warning, kind() === "idle" ? 0 : state.remindAt);
    if (at < due) {
      warning?.dialog.close();
      return due;
    }
    if (state.checked < due) {
      // the server may know better: one tab asks for all
      if (at >= due + turn()) look();
      return at + 1000;
    }
    warning ??= buildWarning();
    warning.show(remaining);
    return at + (remaining % 1000 || 1000);
  }

  /** Hide the page, and leave it unless the server says that the session lives. */
  async function confirmEnd() {
    confirming = true;
    if (!covered) setCovered();
    const alive = await ask();
    confirming = false;
    if (left) return;
    if (alive) suspect = false;
    const remaining = deadline() - now();
    if (!alive && remaining <= 0) return leave(kind());
    // no glimpse of the page, should our clock be a moment ahead
    if (alive && remaining > 1000) setCovered(false);
    timer = setTimeout(check, alive ? 1000 : POLL);
  }

  /** @param {string} reason */
  function leave(reason) {
    left = true;
    clearTimeout(timer);
    listening.abort();
    channel.postMessage({ ended: reason });
    setCovered();
    location.replace(withNext(`${config.signedOutUrl}?reason=${reason}&`));
  }

  /** Hide the page; told = and say that the session has ended. */
  function setCovered(wanted = true, told = wanted) {
    covered = wanted;
    workspace.hold(covered);
    root.classList.toggle("ttl-covered", covered);
    cover ??= buildCover();
    if (covered) warning?.dialog.close();
    told ? open(cover) : cover.close();
  }

  /** @param {string} name */
  const copy = (name) => document.importNode(content.querySelector(name), true);

  /** @param {any} dialog */
  function open(dialog) {
    if (dialog.open || !document.body) return;
    // an application may have replaced the body's content
    if (!dialog.isConnected) document.body.append(dialog);
    dialog.showModal();
  }

  function buildCover() {
    const dialog = copy("#ttl-cover");
    // a second Escape closes any dialog
    dialog.onclose = () => covered && open(dialog);
    return dialog;
  }

  function buildWarning() {
    const dialog = copy("#ttl-warning");
    const [title, text, countdown, stay, renew, close, out, spoken] =
      "title text countdown stay renew close sign-out announce"
        .split(" ")
        .map((name) => dialog.querySelector(`#ttl-${name}`));

    stay.onclick = close.onclick = dialog.oncancel = dismiss;
    dialog.onkeydown = (/** @type {any} */ event) => {
      if (event.key === "Escape") dismiss(event);
    };
    /** @param {any} event */
    async function dismiss(event) {
      event.preventDefault();
      if (kind() === "lifetime") {
        // let the work be finished; back when a third of the time is left
        state.remindAt = now() + ((deadline() - now()) * 2) / 3;
        channel.postMessage(state);
      } else if (!(await ask((ownInput = now())))) {
        text.textContent = spoken.textContent = messages.unreachable;
      }
      check();
    }
    out.onclick = async () => {
      await workspace.save();
      // When this page goes, the server has signed out: until then it isn't left.
      addEventListener("pagehide", () => channel.postMessage({ ended: "logout" }));
      left = true;
      setTimeout(() => {
        left = false;
        check();
      }, POLL);
      location.assign(config.signOutUrl);
    };

    let shown = "";
    let announced = 0;
    return {
      dialog,
      /** @param {number} remaining */
      show(remaining) {
        if (!dialog.open || shown !== kind()) {
          shown = kind();
          title.textContent = messages[`warning_title_${shown}`];
          text.textContent = messages[`warning_${shown}`];
          stay.hidden = shown === "lifetime";
          renew.hidden = close.hidden = !stay.hidden;
          renew.href = withNext(`${config.renewUrl}?`);
          announced = 0;
          open(dialog);
          (stay.hidden ? renew : stay).focus();
        }
        const seconds = Math.ceil(remaining / 1000);
        const clock = `${(seconds / 60) | 0}:${`${100 + (seconds % 60)}`.slice(1)}`;
        countdown.textContent = clock;
        // spoken at open, each full minute, then every 20 seconds
        const step = seconds > 60 ? 60 : 20;
        const mark = Math.ceil(seconds / step) * step;
        if (mark !== announced)
          spoken.textContent = messages.announce?.replace("{countdown}", clock);
        announced = mark;
      },
    };
  }

  function refresh() {
    check();
    if (left || confirming || document.hidden) return;
    if (now() - state.checked >= state.interval) look();
  }

  function distrust(told = false) {
    suspect = true;
    setCovered(true, told);
    check();
  }

  // another session, or none: somebody signed in or out
  const hello = openChannel(`${prefix}hello`, (theirs) => {
    if (theirs !== session) look();
  });
  hello.postMessage(session);
  if (!session || location.pathname === config.signedOutUrl) return hello.close();

  let channel = join();
  root.dataset.ttl = "on";
  script.ttl = workspace;
  listen(self);
  for (const type of ["focus", "online", "visibilitychange", "DOMContentLoaded"])
    addEventListener(type, refresh, { signal });
  addEventListener("pageshow", (event) => event.persisted && distrust(), { signal });
  // nobody may be there to answer an application's "leave?"
  addEventListener("beforeunload", (event) => covered && event.stopImmediatePropagation());

  // Back may find a cached page, with old times
  const [visit] = performance.getEntriesByType("navigation");
  if (/** @type {any} */ (visit)?.type === "back_forward") distrust();
  else check();
})();
