// What stands beside the picture: the product, the words it was drawn from, why a person looks, the scores.

import { decides, el } from "./core.js";
import { usualReasons } from "./dialogs.js";

const STATES = { needs_review: "to review", draft: "draft", approved: "approved", published: "published", rejected: "rejected", failed: "failed" };
const BY_OTHERS = { approved: "approve", published: "approve", rejected: "reject", failed: "reject" };
const MARKS = { approve: "approved", reject: "rejected", again: "once more" };

/** Fill `node` with a card's words. `chosen` is called with a reason that is pressed. */
export function showWords(node, card, chosen) {
  const name = card.title || card.words || card.sku;
  const place = [card.category, card.sku, card.kind === "restyled" ? card.label : ""].filter(Boolean).join(" · ");
  const same = !card.words || card.words === card.title;
  const parts = [
    el("p", { class: "small" }, place),
    el("h1", {}, name),
    card.title ? "" : el("p", { class: "small" }, "This product has left the catalogue."),
    same ? "" : el("p", { class: "prompt" }, card.kind === "generated" ? "Drawn from: " : "", el("q", {}, card.words)),
    card.held_by ? el("p", { class: "held" }, `${card.held_by} is looking at this one too.`) : "",
    why(card),
    doubt(card),
    card.wish ? el("p", { class: "wish" }, card.wish) : "",
    decides ? quick(chosen) : "",
    ...facts("Scores", card.scores),
    ...facts("The product", card.attributes),
    el("p", { class: "small" }, el("a", { href: `/picture/${card.id}` }, "Everything about it"), " ", el("kbd", {}, "D")),
  ];
  node.replaceChildren(...parts.filter(Boolean));
  node.scrollTop = 0;
}

/** A card's own mark, or the state it is in by another's decision. */
export function markOf(card) {
  if (card.mark) return [card.mark, MARKS[card.mark]];
  return card.changed ? [BY_OTHERS[card.state] ?? "again", STATES[card.state]] : null;
}

export function stateName(state) {
  return STATES[state] ?? state;
}

function why(card) {
  const reasons = card.reason.split("; ").filter(Boolean);
  if (!reasons.length) return el("p", { class: "why none" }, stateName(card.state), ": nothing speaks against it.");
  if (reasons.length === 1) return el("p", { class: "why" }, reasons[0]);
  return el("div", { class: "why" }, el("ul", {}, ...reasons.map((reason) => el("li", {}, reason))));
}

function doubt(card) {
  if (card.state !== "needs_review") return "";
  const word = card.doubt > 0.66 ? "very unsure" : card.doubt > 0.33 ? "unsure" : "fairly sure";
  return el("p", { class: "doubt" }, "The job is ", el("meter", { min: "0", max: "1", low: "0.33", high: "0.66", optimum: "0", value: card.doubt, "aria-label": "Doubt" }), ` ${word}`);
}

function facts(name, pairs) {
  if (!pairs.length) return [];
  const rows = pairs.map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, value)));
  return [el("h2", {}, name), el("dl", { class: "facts" }, ...rows)];
}

function quick(chosen) {
  const buttons = usualReasons().map((reason, index) =>
    el("li", {}, el("button", { type: "button", onclick: () => chosen(reason) }, el("kbd", {}, index + 1), ` ${reason}`)),
  );
  return el("div", { class: "quick" }, el("h2", {}, "Reject because"), el("ol", {}, ...buttons));
}
