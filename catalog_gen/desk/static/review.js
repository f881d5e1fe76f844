// The review page: one picture after another. A decision shows the next picture at once and travels in the background.

import { $, announce, ask, decides, el, failure, key, newId, notice, sendLast, start } from "./core.js";
import { askAgain, askReason, usualReasons } from "./dialogs.js";
import { watchDraws } from "./draws.js";
import { outbox, tellResults } from "./outbox.js";
import { Stage, alt } from "./stage.js";
import { markOf, showWords } from "./words.js";

const PAGE = 24; // pictures asked for at once; what is on this screen is kept from other reviewers
const AHEAD = 10; // pictures left when more are asked for
const PRELOAD = 6;
const BEFORE = 3; // pictures in the strip before the current one
const AFTER = 8;

const query = $("desk").dataset.query;
const cards = []; // in the order they were shown; `mark`: this reviewer's decision, `decision`: its id, `waits`: for an undo
const byId = new Map();
const done = []; // ids of cards in the order they were decided, for undo
const stage = new Stage();
let at = -1;
let place = null; // where the next page begins
let total = 0;
let decidedHere = 0;
let asking = null;
let ended = false;
const began = Date.now();

// --- the queue ------------------------------------------------------------------------------------------------------

/** Ask for more pictures; at the end once more from the start, for those that others had on their screens. */
async function more() {
  if (asking || ended) return asking;
  asking = fetchPage();
  try {
    await asking;
  } finally {
    asking = null;
  }
}

let rest = false; // the second pass: what others had on their screens at the first
const elsewhere = new Map(); // id -> card, of those that they still have

async function fetchPage() {
  const params = new URLSearchParams(query);
  params.set("limit", PAGE);
  if (decides) params.set("hold", "1");
  if (rest) params.set("all", "1");
  if (place) params.set("after", place);
  const page = await ask(`/api/queue?${params}`);
  total = page.total;
  place = page.next;
  for (const card of page.cards) if (card.held_by) elsewhere.set(card.id, card);
  const fresh = page.cards.filter((card) => !byId.has(card.id) && !card.held_by);
  take(fresh);
  if (!place) {
    if (rest) ended = true;
    rest = true;
  }
  if (!fresh.length && !ended) await fetchPage();
}

function take(some) {
  for (const card of some) {
    byId.set(card.id, card);
    cards.push(card);
  }
}

/** Look once more for what others have let go of meanwhile. */
async function lookAgain() {
  elsewhere.clear();
  ended = false;
  await moreOrTell();
  settle();
}

/** Show what others have on their screens as well: whoever decides first decides. */
function showElsewhere() {
  take(elsewhere.values());
  elsewhere.clear();
  settle();
}

async function moreOrTell() {
  try {
    await more();
  } catch (error) {
    notice(`No more pictures for now: ${failure(error)}.`, { wrong: true, actions: [["Try again", () => moreOrTell().then(settle)]] });
  }
}

/** Show the current picture, or say that there is none. */
function settle() {
  if (at < 0 && cards.length) at = 0;
  const card = cards[at];
  const finished = !card;
  $("desk").hidden = finished;
  $("empty").hidden = !finished;
  if (finished) return tellEmpty();
  stage.show(card);
  const mark = markOf(card);
  if (mark) $("frame").append(el("p", { class: `stamp ${mark[0]}` }, mark[1]));
  showWords($("words"), card, (reason) => decide("reject", { reason }));
  showStrip();
  showProgress();
  for (const next of cards.slice(at + 1, at + 1 + PRELOAD)) new Image().src = `/image/${next.id}?w=960`;
  if (cards.length - at < AHEAD) moreOrTell().then(showStrip);
}

function tellEmpty() {
  $("empty-title").textContent = decidedHere ? "That was the last one" : "Nothing here";
  const told = decidedHere ? `You decided about ${decidedHere}. ` : "";
  const names = [...new Set([...elsewhere.values()].map((card) => card.held_by))].join(", ");
  const others = elsewhere.size === 1 ? `One more is on the screen of ${names}.` : `${elsewhere.size} more are on the screen of ${names}.`;
  $("empty-told").textContent = told + (elsewhere.size ? others : "Nothing else matches the filter.");
  $("empty-elsewhere").hidden = !elsewhere.size;
  announce($("empty-title").textContent);
  showProgress();
}

function showProgress() {
  const left = Math.max(0, total - decidedHere);
  $("progress").textContent = `${left.toLocaleString("en")} to go`;
  const minutes = (Date.now() - began) / 60000;
  $("pace").textContent = decidedHere ? `· ${decidedHere} decided${minutes > 0.5 ? `, ${Math.round(decidedHere / minutes)} a minute` : ""}` : "";
}

function showStrip() {
  const first = Math.max(0, at - BEFORE);
  const items = cards.slice(first, at + AFTER + 1).map((card, offset) => {
    const index = first + offset;
    const mark = markOf(card);
    const label = `${alt(card)}${mark ? `, ${mark[1]}` : ""}`;
    const image = el("img", { src: `/image/${card.id}?w=96`, alt: "", loading: "lazy" });
    const button = el("button", { type: "button", "aria-label": label, "aria-current": index === at ? "true" : null, class: mark ? "marked" : null, onclick: () => go(index) }, image);
    if (mark) button.append(el("span", { class: `mark ${mark[0]}`, "aria-hidden": "true" }, mark[1]));
    return el("li", {}, button);
  });
  $("strip").replaceChildren(...items);
}

// --- moving ---------------------------------------------------------------------------------------------------------

async function go(index) {
  if (index < 0) return;
  if (index >= cards.length) await moreOrTell();
  at = Math.min(index, cards.length);
  settle();
  const card = cards[at];
  if (card) announce(`${card.title || card.words}. ${card.reason || ""}`);
}

function nextUndecided() {
  let index = at + 1;
  while (index < cards.length && cards[index].mark) index += 1;
  return index;
}

// --- deciding -------------------------------------------------------------------------------------------------------

function decide(action, { reason = "", words = "", candidates = null, now = false } = {}) {
  const card = cards[at];
  if (!card) return;
  if (card.waits) {
    announce("Still undoing; a moment.");
    return;
  }
  if (card.mark) {
    announce(`Decided already: ${card.mark}. U undoes it.`);
    return;
  }
  card.mark = action;
  card.decision = newId();
  done.push(card.id);
  decidedHere += 1;
  outbox.decide({ id: card.decision, asset: card.id, version: card.version, action, reason, words, candidates, now }, card.sku);
  const said = { approve: "Approved", reject: `Rejected: ${reason}`, again: "Asked for another" }[action];
  go(nextUndecided()).then(() => announce(`${said}. ${cards[at] ? cards[at].title || cards[at].words : ""}`));
}

async function reject() {
  if (!cards[at] || cards[at].mark) return;
  const reason = await askReason();
  if (reason) decide("reject", { reason });
}

async function again() {
  if (!cards[at] || cards[at].mark) return;
  const wish = await askAgain(cards[at]);
  if (wish) decide("again", wish);
}

async function undo() {
  const card = byId.get(done.pop());
  if (!card) return undoEarlier();
  const atOnce = outbox.undo(card.decision, card.sku);
  card.mark = null;
  card.waits = !atOnce;
  decidedHere -= 1;
  at = cards.indexOf(card);
  settle();
  announce(`Undone: ${card.title || card.words}`);
}

/** Nothing was decided on this page yet: offer to take back what this reviewer decided last, wherever that was. */
async function undoEarlier() {
  let last;
  try {
    ({ last } = await ask("/api/last"));
  } catch (error) {
    return notice(`Not undone: ${failure(error)}.`, { wrong: true });
  }
  if (!last) return notice("There is nothing to undo.");
  notice(`Your last decision: ${last.action}, ${last.sku}.`, { actions: [["Undo it", () => outbox.undo(last.id, last.sku)], ["Look", `/picture/${last.asset}`]] });
}

/** What the server made of a decision: the picture's new version, or that it was too late. */
function ruled(item, { result, card: now }) {
  const card = byId.get(item.kind === "undo" ? now?.id : item.body.asset);
  if (!card) return;
  const { mark, decision } = card;
  if (now) Object.assign(card, now, { held_by: "", changed: result === "changed" });
  if (item.kind === "undo") card.waits = false;
  else if (result !== "done" && result !== "already" && decision === item.id) {
    card.mark = null;
    decidedHere -= 1;
    done.splice(done.indexOf(card.id), 1);
  } else card.mark = mark;
  if (item.body.now) watchDraws();
  if (cards[at] === card) settle();
  else showStrip();
}

// --- begin ----------------------------------------------------------------------------------------------------------

if (decides) {
  const reasons = usualReasons();
  key("a", "approve", () => decide("approve"));
  key("r", "reject, with a reason", reject);
  reasons.forEach((reason, index) => {
    const about = index ? "" : "reject, with the reason of that number";
    key(String(index + 1), about, () => decide("reject", { reason }), `1–${reasons.length}`);
  });
  key("t", "once more: another seed, more candidates, other words", again);
  key("u", "undo", undo);
  $("do-approve").addEventListener("click", () => decide("approve"));
  $("do-reject").addEventListener("click", reject);
  $("do-again").addEventListener("click", again);
  $("do-undo").addEventListener("click", undo);
  tellResults(ruled);
  addEventListener("pagehide", () => sendLast("/api/leave", {}));
}
const arrow = (x, y, move) => () => (stage.isZoomed ? stage.pan(x, y) : move ? void move() : false);
key("ArrowRight n", "the next picture, undecided", arrow(1, 0, () => go(at + 1)));
key("ArrowLeft p", "the picture before", arrow(-1, 0, () => go(at - 1)));
key("ArrowUp", "", arrow(0, -1));
key("ArrowDown", "", arrow(0, 1));
key("d", "everything about it", () => cards[at] && location.assign(`/picture/${cards[at].id}`));
$("do-next").addEventListener("click", () => go(at + 1));
$("do-back").addEventListener("click", () => go(at - 1));
$("look-again").addEventListener("click", lookAgain);
$("show-elsewhere").addEventListener("click", showElsewhere);
stage.bindKeys();
start();
await moreOrTell();
settle();
watchDraws();
