// The contact sheet: which pictures are shown, in which order, and the few cards that are in view.
const GAP = 12;
const grid = byId("grid");
const filters = Object.fromEntries(
  ["category", "reason", "look", "decided", "from", "to", "search", "order", "size", "grouped"].map((id) => [id, byId(id)]),
);
const higher = data.score.better === "higher";
const worst = (a, b) => (a.score === null) - (b.score === null) || (higher ? a.score - b.score : b.score - a.score);
const byText = (name) => (a, b) => (a[name] < b[name] ? -1 : a[name] > b[name] ? 1 : 0);
const ORDERS = [
  ["Most doubtful first", (a, b) => b.doubt - a.doubt || worst(a, b)],
  ["Worst score first", worst],
  ["Best score first", (a, b) => (a.score === null) - (b.score === null) || worst(b, a)],
  ["By sku", byText("sku")],
  ["By words", byText("words")],
];
const text = new Map(pictures.map((p) => [p, `${p.sku} ${p.title} ${p.words} ${p.reason} ${p.category}`.toLowerCase()]));
let state = "";
let view = [];      // the pictures shown, in their order
let groups = [];    // {name, first, count, section, list, top}
let current = 0;    // place in `view` of the card that the keys act on
let columns = 1, wide = 0, high = 0;
const cards = new Map();  // place in view: the card's element

const fits = (picture) => {
  const f = filters;
  const given = decisions.get(picture.id);
  const words = f.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  return (!f.category.value || picture.category === f.category.value.slice(1)) &&
    (!f.reason.value || (f.reason.value === "none" ? !picture.groups.length : picture.groups.includes(f.reason.value.slice(1)))) &&
    (!f.look.value || picture.look === f.look.value.slice(1)) &&
    (!f.decided.value || (f.decided.value === "open" ? !given && decidable(picture) : given?.action === f.decided.value)) &&
    (f.from.value === "" || (picture.score !== null && picture.score >= Number(f.from.value))) &&
    (f.to.value === "" || (picture.score !== null && picture.score <= Number(f.to.value))) &&
    words.every((word) => text.get(picture).includes(word));
};

const choose = () => {  // filters or order changed: everything anew
  const likely = pictures.filter(fits);
  const counts = new Map();
  for (const picture of likely) counts.set(stateOf(picture), (counts.get(stateOf(picture)) || 0) + 1);
  for (const chip of byId("states").children) {
    const number = chip.dataset.state ? counts.get(chip.dataset.state) || 0 : likely.length;
    chip.querySelector("b").textContent = count(number);
    chip.setAttribute("aria-pressed", String(chip.dataset.state === state));
  }
  view = likely.filter((picture) => !state || stateOf(picture) === state).sort(ORDERS[filters.order.value][1]);
  const name = (picture) => picture.category || "No category";
  const several = filters.grouped.checked && new Set(view.map(name)).size > 1;
  if (several) {  // the largest category first; the sort is stable, so the order holds within
    const sizes = new Map();
    for (const picture of view) sizes.set(name(picture), (sizes.get(name(picture)) || 0) + 1);
    view.sort((a, b) => sizes.get(name(b)) - sizes.get(name(a)) || (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0));
  }
  for (const group of groups) group.section.remove();
  clearCards();
  groups = [];
  view.forEach((picture, place) => {
    const last = groups[groups.length - 1];
    if (last && (!several || last.name === name(picture))) last.count += 1;
    else groups.push({ name: several ? name(picture) : "", first: place, count: 1 });
  });
  for (const group of groups) {
    group.list = make("ul");
    group.list.setAttribute("aria-label", group.name || "Pictures");
    const title = group.name ? make("h3", "", isolated(group.name), make("span", "", count(group.count))) : null;
    group.section = make("div", "group", title, group.list);
    grid.append(group.section);
  }
  byId("none").hidden = view.length > 0;
  const all = data.sampled ? `${count(pictures.length)} sampled` : count(pictures.length);
  byId("shown").textContent = view.length === pictures.length ? `${all} pictures` : `${count(view.length)} of ${all} pictures`;
  byId("many").disabled = !view.some((picture) => decidable(picture) && !decisions.has(picture.id));
  current = Math.min(current, Math.max(0, view.length - 1));
  layOut();
};

const clearCards = () => {
  for (const card of cards.values()) card.remove();
  cards.clear();
};
const layOut = () => {  // sizes changed: where every card is
  const room = grid.clientWidth;
  const least = Math.min(Number(filters.size.value), (room - GAP) / 2);
  const em = parseFloat(getComputedStyle(document.body).fontSize);
  columns = Math.max(1, Math.floor((room + GAP) / (least + GAP)));
  wide = (room - GAP * (columns - 1)) / columns;
  high = Math.round(wide + 8 * em + (innerWidth > 760 ? 38 : 44));
  for (const group of groups) group.list.style.height = `${Math.ceil(group.count / columns) * (high + GAP) - GAP}px`;
  const origin = grid.getBoundingClientRect().top;
  for (const group of groups) group.top = group.list.getBoundingClientRect().top - origin;
  for (const [place, card] of cards) position(card, place);
  draw();
};
const groupOf = (place) => {
  let low = 0, up = groups.length - 1;
  while (low < up) {
    const middle = (low + up + 1) >> 1;
    if (groups[middle].first <= place) low = middle; else up = middle - 1;
  }
  return groups[low];
};
const offset = (place) => {
  const group = groupOf(place);
  return group.top + Math.floor((place - group.first) / columns) * (high + GAP);
};
const position = (card, place) => {
  const inGroup = place - groupOf(place).first;
  card.style.width = `${wide}px`;
  card.style.height = `${high}px`;
  card.style.transform = `translate(${(inGroup % columns) * (wide + GAP)}px, ${Math.floor(inGroup / columns) * (high + GAP)}px)`;
};

const draw = () => {  // make the cards near the view, let go of the others
  const above = -grid.getBoundingClientRect().top - innerHeight * 0.75;
  const below = above + innerHeight * 2.5;
  const wanted = new Set();
  for (const group of groups) {
    const rows = Math.ceil(group.count / columns);
    const from = Math.max(0, Math.floor((above - group.top) / (high + GAP)));
    const to = Math.min(rows - 1, Math.floor((below - group.top) / (high + GAP)));
    const end = Math.min(group.count, (to + 1) * columns);
    for (let place = from * columns; place < end; place += 1) wanted.add(group.first + place);
  }
  if (cards.get(current)?.contains(document.activeElement)) wanted.add(current);  // focus must not fall into nothing
  for (const [place, card] of cards) if (!wanted.has(place)) { card.remove(); cards.delete(place); }
  for (const place of [...wanted].sort((a, b) => a - b)) if (!cards.has(place)) addCard(place);
};
const addCard = (place) => {
  const card = cardOf(view[place], place);
  position(card, place);
  const list = groupOf(place).list;
  const later = [...list.children].find((other) => Number(other.dataset.place) > place);  // in order, for readers
  list.insertBefore(card, later || null);
  cards.set(place, card);
};
const redraw = (place) => {
  const old = cards.get(place);
  if (!old) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.className : null;
  const card = cardOf(view[place], place);
  position(card, place);
  old.replaceWith(card);
  cards.set(place, card);
  if (focused !== null) [...card.querySelectorAll("button")].find((button) => button.className === focused)?.focus({ preventScroll: true });
};

const pictureOf = (key, alt, name = "") => {
  const source = imageOf(key);
  if (!source) return make("span", `none ${name}`, `No picture: ${troubleOf(key)}`);
  const image = make("img", name);
  image.decoding = "async";
  image.alt = alt;
  image.src = source;
  return image;
};
const act = (name, sign, label, picture, action) => {
  const button = make("button", name, sign);
  button.type = "button";
  button.dataset.do = action;
  button.setAttribute("aria-label", `${label} ${picture.sku}`);
  button.title = label;
  button.setAttribute("aria-pressed", String(decisions.get(picture.id)?.action === action));
  button.disabled = !decidable(picture);
  return button;
};
const cardOf = (picture, place) => {
  const given = decisions.get(picture.id);
  const open = make("button", "open", pictureOf(picture.image, picture.words || picture.title));
  open.type = "button";
  open.setAttribute("aria-label", `${picture.sku}, ${picture.words || picture.title}, ${stateOf(picture)}${given ? `, ${DONE[given.action]} here` : ""}: enlarge`);
  if (picture.before && imageOf(picture.before[0])) open.append(pictureOf(picture.before[0], "", "inset"));
  const sku = make("span", "sku", isolated(picture.sku));
  const score = make("span", "score", shownScore(picture));
  score.title = data.score.label;
  const words = make("p", `caption ${given?.reason || picture.reason ? "" : "long"}`, isolated(picture.words || picture.title));
  words.title = picture.words || picture.title;
  const said = given?.reason || picture.reason;
  const reason = said ? make("p", "reason", isolated(said)) : null;
  if (reason) reason.title = said;
  const look = picture.look ? make("span", "look", isolated(picture.look)) : null;
  const card = make("li", `card ${picture.state} ${picture.live ? "" : "gone"} ${given ? `given ${given.action}` : ""}`,
    open,
    make("div", "text", make("div", "row", make("span", "state", given ? `${DONE[given.action]} here` : stateOf(picture)), score), words, reason, make("div", "row last", sku, look)),
    make("div", "acts",
      act("yes", "✓", "Approve", picture, "approve"),
      act("no", "✕", "Reject", picture, "reject"),
      act("anew", "↻", "Again", picture, "again")));
  card.dataset.place = String(place);
  card.setAttribute("aria-posinset", String(place - groupOf(place).first + 1));
  card.setAttribute("aria-setsize", String(groupOf(place).count));
  for (const button of card.querySelectorAll("button")) button.tabIndex = place === current ? 0 : -1;
  return card;
};

const become = (place) => {  // make a picture the one that keys act on
  const old = current;
  current = place;
  for (const each of new Set([old, current])) {
    for (const button of cards.get(each)?.querySelectorAll("button") || []) button.tabIndex = each === current ? 0 : -1;
  }
};
const inView = (place) => {
  const box = cards.get(place)?.getBoundingClientRect();
  return Boolean(box) && box.top >= byId("tools").offsetHeight - high / 2 && box.bottom <= innerHeight + high / 2;
};
const goTo = (place, focus = true) => {  // the same, and bring it into view
  if (!view.length) return;
  become(Math.max(0, Math.min(view.length - 1, place)));
  const top = grid.getBoundingClientRect().top + offset(current);
  const roof = byId("tools").offsetHeight + 8, floor = innerHeight - byId("bar").offsetHeight - 8;
  if (top < roof) scrollBy({ top: top - roof });
  else if (top + high > floor) scrollBy({ top: Math.min(top - roof, top + high - floor) });
  draw();
  if (focus) cards.get(current)?.querySelector(".open").focus({ preventScroll: true });
};
