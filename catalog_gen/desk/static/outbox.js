// Decisions on their way. Each is kept in the browser under a key of its own until the server has it, so that neither a
// network that drops nor a closed tab loses one. Ids make it harmless to send one twice, from two tabs for example.

import { $, Refused, announce, failure, notice, send, viewer } from "./core.js";

const PREFIX = `desk-unsent ${viewer} `;
const BATCH = 20; // each is a transaction of its own on the server
const WAITS = [1, 2, 4, 8, 15, 30]; // seconds between tries

class Outbox extends EventTarget {
  #items = new Map(); // id -> {kind, id, body, sku}, in the order they were made
  #sending = new Set();
  #failures = 0;
  #running = false;
  #timer = 0;
  #count = 0;

  constructor() {
    super();
    const kept = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
    for (const name of kept.sort()) {
      const item = JSON.parse(localStorage.getItem(name));
      this.#items.set(item.id, { ...item, name, tried: true }); // who knows how far it came
    }
    addEventListener("online", () => this.flush());
    this.#show();
    if (this.#items.size) this.flush();
  }

  get size() {
    return this.#items.size;
  }

  /** Keep a decision, and send it. */
  decide(body, sku) {
    this.#add({ kind: "decide", id: body.id, body, sku });
  }

  /**
   * Take a decision back: here, where it never left, else on the server. True for the first. One whose answer was lost
   * may have arrived: it is sent again, which records it once, and taken back after that.
   */
  undo(decision, sku) {
    const item = this.#items.get(decision);
    if (item && !item.tried && !this.#sending.has(decision)) {
      this.#drop(decision);
      this.#show();
      return true;
    }
    this.#add({ kind: "undo", id: `undo ${decision}`, body: decision, sku });
    return false;
  }

  #add(item) {
    item.name = `${PREFIX}${Date.now().toString(36).padStart(9, "0")} ${String(this.#count++).padStart(6, "0")} ${item.id}`;
    localStorage.setItem(item.name, JSON.stringify({ kind: item.kind, id: item.id, body: item.body, sku: item.sku }));
    this.#items.set(item.id, item);
    this.#show();
    this.flush();
  }

  #drop(id) {
    const item = this.#items.get(id);
    if (item) localStorage.removeItem(item.name);
    this.#items.delete(id);
    this.#sending.delete(id);
  }

  /** Send everything that waits, oldest first, until it is all there or the server cannot be had. */
  async flush() {
    clearTimeout(this.#timer);
    if (this.#running) return;
    this.#running = true;
    await Promise.resolve(); // what was decided in the same moment travels together
    try {
      while (this.#items.size) await this.#sendSome();
      this.#failures = 0;
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#running = false;
      this.#show();
    }
    if (!this.#items.size) this.dispatchEvent(new Event("empty"));
  }

  async #sendSome() {
    if (!navigator.onLine) throw new TypeError("offline"); // nothing leaves, so all of it can still be taken back here
    const all = [...this.#items.values()];
    const end = all.findIndex((item) => item.kind !== all[0].kind);
    let some = all.slice(0, Math.min(BATCH, end < 0 ? all.length : end));
    if (this.#failures < 0) some = some.slice(0, 1); // one of them is unacceptable: find out which
    for (const item of some) this.#sending.add(item.id);
    let ruled;
    try {
      ruled = await this.#post(some);
    } catch (error) {
      for (const item of some) {
        this.#sending.delete(item.id);
        item.tried = true;
      }
      if (!(error instanceof Refused) || ![400, 413, 422].includes(error.status)) throw error;
      if (some.length > 1) {
        this.#failures = -1;
        return;
      }
      this.#drop(some[0].id);
      notice(`${some[0].sku}: not recorded: ${error.message}`, { wrong: true });
      return;
    }
    this.#failures = 0;
    some.forEach((item, index) => {
      this.#drop(item.id);
      this.dispatchEvent(new CustomEvent("ruled", { detail: { item, ruled: ruled[index] } }));
    });
    this.#show();
  }

  async #post(some) {
    const bodies = some.map((item) => item.body);
    if (some[0].kind === "undo") return (await send("/api/undo", { decisions: bodies })).ruled;
    return (await send("/api/decisions", { decisions: bodies })).ruled;
  }

  #failed(error) {
    if (error instanceof Refused && [401, 403].includes(error.status)) {
      const login = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
      notice(`Not sent: ${error.message}. Nothing is lost.`, { wrong: true, actions: [["Log in", login]] });
    } else {
      failure(error);
    }
    this.#failures = Math.max(0, this.#failures) + 1;
    if (this.#failures === 1) announce("The server cannot be reached. Decisions are kept here and sent later.");
    const wait = WAITS[Math.min(this.#failures, WAITS.length) - 1];
    this.#timer = setTimeout(() => this.flush(), wait * 1000);
  }

  #show() {
    const count = this.#items.size;
    const told = $("outbox");
    if (!told) return;
    const text = this.#failures > 0 && count ? `${count} not sent yet, kept here` : count > 5 ? `sending ${count}` : "";
    if (told.textContent !== text) told.textContent = text;
  }
}

export const outbox = new Outbox();

/** Say what came of decisions that did not go as meant. `card` updates what is on the screen. */
export function tellResults(update) {
  outbox.addEventListener("ruled", ({ detail: { item, ruled } }) => {
    update(item, ruled);
    if (ruled.result === "done" || ruled.result === "already") return;
    const look = ruled.card ? [["Look", `/picture/${ruled.card.id}`]] : [];
    notice(`Not recorded: ${ruled.told}`, { wrong: true, actions: look });
  });
}
