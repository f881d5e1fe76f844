// What every part of the page's script uses: the data, and elements made without markup.
const byId = (id) => document.getElementById(id);
const read = (id) => {
  const block = byId(id);
  const value = JSON.parse(block.textContent);
  block.textContent = "";  // the text of two thousand pictures need not be kept twice
  return value;
};
const data = read("data");
const images = read("images");
const pictures = data.pictures;
const placeOf = new Map(pictures.map((picture, place) => [picture.id, place]));

// Texts come from shops' feeds: they become text nodes, and nothing else.
const make = (tag, name, ...inside) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...inside.filter((part) => part !== null && part !== ""));
  return element;
};
const isolated = (text) => make("bdi", "", text);
const count = (number) => number.toLocaleString("en-GB");
const STATES = {
  draft: "draft", needs_review: "for review", approved: "approved", published: "published", rejected: "rejected",
  failed: "failed",
};
const stateOf = (picture) => picture.live || picture.state === "rejected" || picture.state === "failed"
  ? STATES[picture.state] || picture.state
  : "replaced";
const imageOf = (key) => {
  const found = images[key];
  return found && !found.startsWith("!") ? found : "";
};
const troubleOf = (key) => (images[key] || "!it is not in this page").slice(1);
const shownScore = (picture) => picture.score === null ? "" : picture.score.toFixed(data.score.digits);
const say = (text) => { byId("said-aloud").textContent = text; };

const typing = (target) => target.matches("input:not([type=range], [type=checkbox]), textarea, select");
// A small dialog: Enter is its first button, Escape and Cancel do nothing. Forms are not submitted: a mail program's
// frame forbids it.
const ask = (dialog, agreed) => {
  const form = dialog.querySelector("form");
  const agree = () => {
    if (!form.reportValidity()) return;
    dialog.close();
    agreed();
  };
  form.onsubmit = (event) => event.preventDefault();
  form.onclick = (event) => {
    const { value } = event.target.closest("button") || {};
    if (value === "good") agree();
    else if (value === "cancel") dialog.close();
  };
  form.onkeydown = (event) => {
    if (event.key !== "Enter" || event.target.matches("button, textarea")) return;
    event.preventDefault();
    agree();
  };
  dialog.showModal();
};
