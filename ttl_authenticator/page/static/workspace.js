// @ts-check
// The timer's half for pages that hold documents: JupyterLab, Notebook, nbclassic.
// Saves before the end, holds the application's requests behind the cover, and hears
// input in the page's own frames. Runs right after timer.js, before any application.
(() => {
  "use strict";

  const script = /** @type {any} */ (document.currentScript)?.previousElementSibling;
  const timer = script?.ttl;
  if (!timer) return; // nobody signed in, or a frame: the page around it sees to it
  delete script.ttl;

  const SAVE_LIMIT = 5000;
  const page = /** @type {any} */ (window);
  const now = () => Date.now();

  // ---- Requests ----

  let held = false;
  let release = () => {};
  /** Resolved when the page may go on; never, if it is left. */
  let freedom = Promise.resolve();

  timer.hold = (/** @type {boolean} */ wanted) => {
    if (wanted === held) return;
    held = wanted;
    if (held) freedom = new Promise((resolve) => (release = resolve));
    else release();
  };
  // timer.js may have covered the page already
  timer.hold(document.documentElement.classList.contains("ttl-covered"));

  let lookedAt = 0;
  /** @type {Promise<void>} */
  let looking = Promise.resolve();

  /**
   * Tell whether an answer must wait. A refusal may mean that the session has ended
   * elsewhere: the application learns of it when the server has been asked.
   * @param {{ status: number }} response
   * @param {string} url
   * @returns {Promise<void> | null}
   */
  function pause({ status }, url) {
    const refused = status === 401 || status === 403;
    if (refused && new URL(url, location.href).origin === location.origin) {
      if (now() - lookedAt > 10000) {
        lookedAt = now();
        looking = timer.look();
      }
      return looking.then(() => freedom);
    }
    return held ? freedom : null;
  }

  const { fetch } = page;
  page.fetch = (/** @type {any[]} */ ...request) =>
    (held ? freedom.then(() => fetch(...request)) : fetch(...request)).then(
      async (/** @type {Response} */ response) => {
        await pause(response, response.url);
        return response;
      },
      async (/** @type {unknown} */ failure) => {
        await freedom;
        throw failure;
      },
    );

  const { prototype } = XMLHttpRequest;
  const { open, send } = prototype;
  /** @type {WeakMap<XMLHttpRequest, any>} where each goes to, if it is asynchronous */
  const targets = new WeakMap();

  prototype.open = function (/** @type {any[]} */ ...request) {
    const [, url, asynchronous = true] = request;
    targets.set(this, asynchronous && String(url));
    return open.apply(this, /** @type {any} */ (request));
  };
  prototype.send = function (body) {
    // a synchronous one can't wait
    if (held && targets.get(this)) void freedom.then(() => send.call(this, body));
    else send.call(this, body);
  };
  page.XMLHttpRequest = new Proxy(XMLHttpRequest, {
    construct(target, given, self) {
      const request = Reflect.construct(target, given, self);
      for (const type of ["readystatechange", "load", "error", "abort", "timeout", "loadend"])
        delay(request, type, () =>
          request.readyState === 4 && targets.get(request)
            ? pause(request, request.responseURL || targets.get(request))
            : null,
        );
      return request;
    },
  });

  /**
   * Keep an event from the application until it may go on. Only the first listener can:
   * be called before anybody else has the target.
   * @param {EventTarget} target
   * @param {string} type
   * @param {(event: any) => Promise<void> | null} wait
   */
  function delay(target, type, wait) {
    target.addEventListener(type, (event) => {
      const pausing = event.isTrusted && wait(event);
      if (!pausing) return;
      event.stopImmediatePropagation();
      const Type = /** @type {any} */ (event.constructor);
      void pausing.then(() => target.dispatchEvent(new Type(type, event)));
    });
  }

  /** Stands for a connection that isn't made; closed when the page may go on. */
  class Unconnected extends EventTarget {
    /** @param {string | URL} url */
    constructor(url) {
      super();
      this.url = new URL(url, location.href).href;
      this.protocol = this.extensions = "";
      this.binaryType = "blob";
      this.readyState = this.bufferedAmount = 0;
      /** @type {any} */
      this.onclose = null;
      void freedom.then(() => this.close());
    }

    send() {
      throw new DOMException("Still in CONNECTING state", "InvalidStateError");
    }

    close() {
      if (this.readyState === 3) return;
      this.readyState = 3;
      void freedom.then(() => {
        const event = new CloseEvent("close", { code: 1006 });
        this.onclose?.(event);
        this.dispatchEvent(event);
      });
    }
  }

  page.WebSocket = new Proxy(WebSocket, {
    construct(target, given, self) {
      if (held) return new Unconnected(given[0]);
      const socket = Reflect.construct(target, given, self);
      delay(socket, "error", () => (held ? freedom : null));
      delay(socket, "close", ({ code }) => {
        // by our server, for the session's end
        const { host } = new URL(socket.url);
        if (code === 4401 && host === location.host) timer.distrust(true);
        return held ? freedom : null;
      });
      return socket;
    },
  });

  // ---- Documents ----

  /** @returns {{ contents: any, path: string, seen: any, save: () => any }[]} */
  function changedDocuments() {
    const found = new Map();
    const { jupyterapp: app, Jupyter } = page;
    for (const { context } of widgets(app)) {
      const { model, path, contentsModel } = context ?? {};
      if (!model?.dirty || model.readOnly || model.collaborative || !contentsModel) continue;
      const { contents } = app.serviceManager;
      const save = () => context.save();
      found.set(context, { contents, path, seen: contentsModel.last_modified, save });
    }
    const { notebook, editor } = Jupyter ?? {};
    if (notebook?.dirty && notebook.writable)
      found.set(notebook, {
        contents: notebook.contents,
        path: notebook.notebook_path,
        seen: notebook.last_modified,
        save: () => notebook.save_notebook(),
      });
    if (editor?.save_enabled && !editor.codemirror.isClean(editor.generation))
      found.set(editor, {
        contents: editor.contents,
        path: editor.file_path,
        seen: editor.last_modified,
        save: () => editor.save(),
      });
    return [...found.values()];
  }

  /** @param {any} app */
  function widgets(app) {
    const all = app?.shell?.widgets?.("main") ?? [];
    if (all[Symbol.iterator]) return [...all];
    // JupyterLab 3: an iterator of its own kind
    const list = [];
    for (let widget; (widget = all.next()); ) list.push(widget);
    return list;
  }

  /** @param {ReturnType<typeof changedDocuments>[number]} document */
  async function saveOne({ contents, path, seen, save }) {
    const { last_modified } = await contents.get(path, { content: false });
    // Somebody else wrote it: the application would ask, and nobody be there to answer.
    // It allows for the same inexact clocks of file systems.
    if (Number(new Date(last_modified)) - Number(new Date(seen)) <= 500) await save();
  }

  async function saveAll() {
    try {
      const saved = Promise.allSettled(changedDocuments().map(saveOne));
      await Promise.race([saved, new Promise((resolve) => setTimeout(resolve, SAVE_LIMIT))]);
    } catch {} // an application that we don't know
  }

  let saving = Promise.resolve();
  /**
   * Save what has changed; settles in any case, in a few seconds. One after the other:
   * an application would find its file changed on disk by the one before.
   */
  timer.save = () => (saving = saving.then(saveAll));

  let savedFor = 0;
  let limit = 0;

  /**
   * Save once shortly before a deadline, and again if it moves.
   * @param {number} end
   * @param {number} allowance what an input gives: at its longest, the limit
   * @returns {number} when to come back
   */
  timer.due = (end, allowance) => {
    limit = Math.max(limit, allowance);
    // a hidden page is woken once a minute only
    const lead = Math.min(document.hidden ? 75000 : 10000, limit / 4);
    const start = end - lead;
    if (now() < start) return start;
    if (Math.abs(start - savedFor) > 1000) {
      savedFor = start;
      void timer.save();
    }
    return Infinity;
  };

  // ---- Frames ----

  /** @param {any} frame a window */
  function watch(frame) {
    try {
      timer.listen(frame);
      frame.document.addEventListener("load", entered, true);
      // a page that never finishes loading: when the pointer or the focus gets there
      frame.document.addEventListener("pointerover", entered, true);
      frame.addEventListener("blur", focusLeft);
      for (let i = 0; i < frame.length; i++) watch(frame[i]);
    } catch {} // of another origin
  }

  /** @param {any} element */
  function watchIn(element) {
    if (element?.contentWindow) watch(element.contentWindow);
  }

  const entered = (/** @type {Event} */ event) => watchIn(event.composedPath()[0]);
  const focusLeft = (/** @type {any} */ event) =>
    watchIn(event.currentTarget.document.activeElement);

  watch(window);
})();
