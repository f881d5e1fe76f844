// The sheet: choose several pictures, or all that match, and decide about them together.

import { $, announce, ask, decides, el, failure, key, newId, notice, start } from "./core.js";
import { askAgain, askReason, opened } from "./dialogs.js";
import { watchDraws } from "./draws.js";
import { outbox, tellResults } from "./outbox.js";

const MOST = 20000; // pictures that are decided about together
const PAGE = 500;

const sheet = $("sheet");
const items = () => [...sheet.children];
const boxes = () => [...sheet.querySelectorAll(".pick input:not(:disabled)")];
let everything = null; // what "all that match" chose: [{id, version, sku}], else null
let last = []; // ids of the decisions made last, for undo

// --- choosing -------------------------------------------------------------------------------------------------------

function chosen() {
  if (everything) return everything;
  return boxes()
    .filter((box) => box.checked)
    .map((box) => box.closest("li"))
    .map((item) => ({ id: item.dataset.id, version: Number(item.dataset.version), sku: item.dataset.sku }));
}

function changed() {
  const count = chosen().length;
  $("chosen").textContent = count.toLocaleString("en");
  for (const name of ["do-approve", "do-reject", "do-again"]) $(name).disabled = !count;
}

function chooseHere() {
  everything = null;
  const on = boxes().some((box) => !box.checked);
  for (const box of boxes()) box.checked = on;
  changed();
  announce(`${chosen().length} chosen`);
}

async function chooseMatching() {
  try {
    everything = await matching();
  } catch (error) {
    notice(`Not chosen: ${failure(error)}.`, { wrong: true });
  }
  for (const box of boxes()) box.checked = everything != null;
  changed();
  announce(`${chosen().length} chosen`);
}

async function matching() {
  const found = [];
  let after = null;
  do {
    const params = new URLSearchParams(sheet.dataset.query);
    params.set("limit", PAGE);
    params.set("brief", "1");
    if (after) params.set("after", after);
    const page = await ask(`/api/queue?${params}`);
    found.push(...page.cards);
    after = page.next;
    $("chosen").textContent = found.length.toLocaleString("en");
  } while (after && found.length < MOST);
  return found.slice(0, MOST);
}

// --- deciding -------------------------------------------------------------------------------------------------------

const DONE = { approve: "approved", reject: "rejected", again: "once more" };

async function sure(action, count) {
  if (count <= boxes().length && !everything) return true;
  $("sure-title").textContent = `${{ approve: "Approve", reject: "Reject", again: "Draw again" }[action]} ${count.toLocaleString("en")} pictures?`;
  $("sure-told").textContent = "That is every picture that matches the filter, those on other pages too. Pictures that change meanwhile are left alone. It can be undone.";
  $("sure-ok").textContent = `Yes, all ${count.toLocaleString("en")}`;
  $("sure-ok").className = action;
  return (await opened($("sure"))) === "ok";
}

async function decide(action, question) {
  const these = chosen();
  if (!these.length || !(await sure(action, these.length))) return;
  const more = question ? await question() : {};
  if (!more) return;
  last = [];
  for (const one of these) {
    const body = { id: newId(), asset: one.id, version: one.version, action, reason: "", words: "", candidates: null, now: false, ...more };
    last.push([body.id, one.sku]);
    outbox.decide(body, one.sku);
    mark(one.id, action);
  }
  everything = null;
  changed();
  $("do-undo").hidden = false;
  announce(`${these.length} ${DONE[action]}`);
  notice(`${these.length.toLocaleString("en")} ${DONE[action]}.`, { actions: [["Undo", undo]] });
}

function mark(id, action) {
  const item = sheet.querySelector(`[data-id="${CSS.escape(id)}"]`);
  if (!item) return;
  const box = item.querySelector(".pick input");
  box.checked = false;
  box.disabled = Boolean(action);
  item.classList.toggle("marked", Boolean(action));
  item.querySelector(".stamp")?.remove();
  if (action) item.append(el("span", { class: `stamp ${action}` }, DONE[action]));
}

function undo() {
  if (!last.length) return;
  const these = last.reverse();
  last = [];
  $("do-undo").hidden = true;
  for (const [decision, sku] of these) outbox.undo(decision, sku);
  for (const item of items()) if (item.classList.contains("marked")) mark(item.dataset.id, null);
  announce(`${these.length} undone`);
  notice(`${these.length.toLocaleString("en")} undone.`);
}

function ruled(item, { result, card }) {
  if (item.kind === "decide" && (result === "changed" || result === "unknown" || result === "refused")) mark(item.body.asset, null);
  const shown = card && sheet.querySelector(`[data-id="${CSS.escape(card.id)}"]`);
  if (shown) shown.dataset.version = card.version;
  if (item.body?.now) watchDraws();
}

// --- moving by key --------------------------------------------------------------------------------------------------

function move(step) {
  const all = items();
  const now = all.indexOf(document.activeElement.closest?.("#sheet > li"));
  const next = all[Math.min(all.length - 1, Math.max(0, now < 0 ? 0 : now + step))];
  next?.querySelector("a").focus();
}

function columns() {
  return getComputedStyle(sheet).gridTemplateColumns.split(" ").length;
}

function pick() {
  const box = document.activeElement.closest?.("#sheet > li")?.querySelector(".pick input:not(:disabled)");
  if (!box) return;
  everything = null;
  box.checked = !box.checked;
  changed();
}

key("ArrowRight", "the next picture", () => move(1));
key("ArrowLeft", "the picture before", () => move(-1));
key("ArrowDown", "a row down", () => move(columns()));
key("ArrowUp", "a row up", () => move(-columns()));
if (decides && $("bulk")) {
  $("bulk").hidden = false;
  const approve = () => decide("approve");
  const reject = () => decide("reject", async () => {
    const reason = await askReason();
    return reason && { reason };
  });
  const again = () => decide("again", () => askAgain(null));
  key("s", "choose the picture, or not", pick);
  key("e", "choose every picture on this page, or none", chooseHere);
  key("a", "approve what is chosen", approve);
  key("r", "reject what is chosen", reject);
  key("t", "draw what is chosen once more", again);
  key("u", "undo", undo);
  $("all-here").addEventListener("click", chooseHere);
  $("all-match").addEventListener("click", chooseMatching);
  $("do-approve").addEventListener("click", approve);
  $("do-reject").addEventListener("click", reject);
  $("do-again").addEventListener("click", again);
  $("do-undo").addEventListener("click", undo);
  sheet.addEventListener("change", () => {
    everything = null;
    changed();
  });
  tellResults(ruled);
  changed();
}
start();
watchDraws();
