// What all pages share: asking the server, saying something, keys, the help. No text ever becomes markup here: nodes
// are made one by one, and titles from a feed go in as text.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export const viewer = meta("viewer");
export const decides = meta("role") === "reviewer";
let csrf = meta("csrf");

export const $ = (id) => document.getElementById(id);

/** Make an element: `el("p", {class: "small", onclick: f}, "text", child)`. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null && child !== ""));
  return node;
}

/** What the server refused: `status`, and its own words. */
export class Refused extends Error {
  constructor(status, told) {
    super(told);
    this.status = status;
  }
}

/** Tell the server something while the page is left; nobody waits for the answer. */
export function sendLast(address, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
  fetch(address, { method: "POST", headers, body: JSON.stringify(body), keepalive: true }).catch(() => {});
}

/** Ask for JSON. Throws Refused where the server answers with an error, TypeError where it does not answer. */
export async function ask(address, options = {}) {
  const answer = await fetch(address, { ...options, signal: AbortSignal.timeout(20000), redirect: "error" });
  if (answer.ok) return answer.json();
  let told = `the server answered ${answer.status}`;
  try {
    told = (await answer.json()).error ?? told;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error; // a proxy's own page: the status has to do
  }
  throw new Refused(answer.status, told);
}

/** The words for a request that failed, to be shown; a bug of the page goes on as one. */
export function failure(error) {
  if (error instanceof Refused) return error.message;
  if (error instanceof TypeError || error.name === "TimeoutError") return "the server cannot be reached";
  throw error;
}

/** Send JSON with the session's token; a session that was renewed meanwhile gets its new one first. */
export async function send(address, body) {
  const post = () =>
    ask(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    });
  try {
    return await post();
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 403) throw error;
    const session = await ask("/api/session");
    if (session.csrf === csrf || session.name !== viewer) throw error;
    csrf = session.csrf;
    return post();
  }
}

/** 32 hex digits that nobody else makes: the id of a decision. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Tell a screen reader, once the last message had its time. */
export function announce(text) {
  $("announce").textContent = text;
}

/** Show a message. `wrong`: it stays until it is closed. `actions`: [label, address or function]. */
export function notice(text, { wrong = false, actions = [] } = {}) {
  const node = el("div", { class: wrong ? "notice wrong" : "notice", role: wrong ? "alert" : null }, el("p", {}, text));
  const close = () => node.remove();
  for (const [label, what] of actions) {
    const done = () => {
      close();
      what();
    };
    node.append(typeof what === "string" ? el("a", { href: what }, label) : el("button", { type: "button", onclick: done }, label));
  }
  node.append(el("button", { type: "button", class: "close", "aria-label": "Close", onclick: close }, "×"));
  const box = $("notices");
  box.append(node);
  while (box.children.length > 4) box.firstElementChild.remove();
  if (!wrong) setTimeout(close, actions.length ? 12000 : 5000);
  return close;
}

// --- keys -----------------------------------------------------------------------------------------------------------

const KEYS_OFF = "desk-keys-off";
const bound = new Map();
const listed = [];

/** Bind keys: `key("a", "approve", f)`, `key("ArrowRight n", "the next one", f)`. Without `about`, the help is silent. */
export function key(names, about, action, shown = names) {
  for (const name of names.split(" ")) bound.set(name, action);
  if (about) listed.push([shown, about]);
}

const SHOWN = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", " ": "Space", Space: "Space" };

function writing(target) {
  return target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") != null;
}

function pressed(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || writing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (localStorage.getItem(KEYS_OFF) && event.key !== "?") return;
  const name = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const action = bound.get(name);
  if (!action || (event.repeat && name.length === 1)) return;
  if (name === "Space" && event.target.closest("button, a, summary, input")) return;
  if (action(event) !== false) event.preventDefault();
}

export function help() {
  const list = document.querySelector("#help .keys");
  list.replaceChildren();
  for (const [names, about] of listed) {
    const caps = names.split(" ").flatMap((name, index) => [index ? " " : "", el("kbd", {}, SHOWN[name] ?? name.toUpperCase())]);
    list.append(el("dt", {}, ...caps), el("dd", {}, about));
  }
  $("help").showModal();
}

/** Bind what every page has, and show that scripts run. */
export function start() {
  const search = document.querySelector(".filters") ? location.search : "";
  key("g", "the sheet", () => location.assign(`/grid${search}`));
  key("o", "one by one", () => location.assign(`/${search}`));
  key("/", "look for a sku or words", () => {
    const search = $("search");
    const fold = search?.closest("details");
    if (fold) fold.open = true;
    search?.focus();
  });
  key("?", "these keys", help);
  document.addEventListener("keydown", pressed);
  const open = $("help-open");
  if (open) {
    open.hidden = false;
    open.addEventListener("click", help);
  }
  const on = $("keys-on");
  on.checked = !localStorage.getItem(KEYS_OFF);
  on.addEventListener("change", () => (on.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1")));
  for (const select of document.querySelectorAll(".filters select")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
}
