// The large view: one picture with everything that is known of it, and the source it was made from under a slider.
const large = byId("large");
const cut = byId("cut");

const setCut = () => {
  byId("before").style.clipPath = `inset(0 ${100 - cut.value}% 0 0)`;
  byId("line").style.left = `${cut.value}%`;
  cut.setAttribute("aria-valuetext", `${cut.value} % before, ${100 - cut.value} % after`);
};
const line = (label, ...inside) => [make("dt", "", label), make("dd", "", ...inside)];
const isTwin = (picture) => picture.near?.[1] === "duplicate" && !picture.before && Boolean(imageOf(picture.near[4]));
const nearest = (picture) => {
  if (!picture.near) return [];
  const [sku, by, bits, id, key] = picture.near;
  const how = by === "duplicate"
    ? "the job found the two too alike"
    : `the most alike in shape of this run's pictures, ${bits} of 64 bits differ`;
  const box = make("div", "near");
  if (imageOf(key) && !isTwin(picture)) box.append(pictureOf(key, `Picture of ${sku}`));
  const name = placeOf.has(id) ? make("button", "link", isolated(sku)) : isolated(sku);
  if (placeOf.has(id)) {
    name.type = "button";
    name.dataset.show = id;
    name.title = "Show it";
  }
  box.append(make("p", "", name, ` – ${how}`));
  return line("Nearest product", box);
};
const showLarge = (place) => {
  goTo(place, false);
  const picture = view[current];
  const given = decisions.get(picture.id);
  const source = imageOf(picture.image);
  const after = byId("after");
  byId("pair").hidden = !source;
  byId("broken").hidden = Boolean(source);
  if (source) {
    after.onload = () => {  // a small drawing is not blown up into fog
      byId("pair").style.maxWidth = byId("pair").style.maxHeight = picture.kind === "generated" ? `${Math.max(384, after.naturalWidth * 3)}px` : "none";
    };
    after.src = source;
    after.alt = picture.words || picture.title;
  }
  else byId("broken").textContent = `No picture: ${troubleOf(picture.image)}`;
  const twin = isTwin(picture) && source;
  byId("stage").classList.toggle("two", Boolean(twin));
  byId("twin").hidden = !twin;
  if (twin) {  // the two that the job found too alike, side by side
    byId("twin").querySelector("img").src = imageOf(picture.near[4]);
    byId("twin").querySelector("img").alt = `Picture of ${picture.near[0]}`;
    byId("twin").querySelector("figcaption").replaceChildren("near-duplicate: ", isolated(picture.near[0]));
  }
  const before = picture.before && source ? imageOf(picture.before[0]) : "";
  for (const id of ["before", "cut", "line", "cut-before", "cut-after"]) byId(id).hidden = !before;
  if (before) {
    byId("before").src = before;
    byId("before").alt = `Before: ${picture.before[1]}`;
    byId("cut-before").textContent = `before: ${picture.before[1]}`;
    cut.value = "50";
    setCut();
  }
  const facts = byId("facts");
  facts.className = `facts ${picture.state} ${given ? `given ${given.action}` : ""}`;
  const list = make("dl");
  const missing = picture.before && !imageOf(picture.before[0]) ? `${picture.before[1]}: ${troubleOf(picture.before[0])}` : "";
  list.append(
    ...(picture.reason ? line("Reason", isolated(picture.reason)) : []),
    ...picture.scores.flatMap(([label, value]) => line(label, value)),
    ...nearest(picture),
    ...line("Sku", isolated(picture.sku)),
    ...(picture.title && picture.title !== picture.words ? line("Title", isolated(picture.title)) : []),
    ...(picture.category ? line("Category", isolated(picture.category)) : []),
    ...(picture.look ? line("Style", isolated(picture.look)) : []),
    ...(missing ? line("Before", isolated(missing)) : []),
    ...picture.made.flatMap(([label, value]) => line(label, isolated(value))),
  );
  const mine = given ? make("p", "mine", `${DONE[given.action]} here`, given.reason ? ": " : "", given.reason, given.words ? `; from the words: ${given.words}` : "") : null;
  facts.replaceChildren(
    make("p", "where", make("span", "state", stateOf(picture)), ` ${count(current + 1)} of ${count(view.length)}`),
    make("p", "caption", isolated(picture.words || picture.title)), ...(mine ? [mine] : []), list);
  for (const button of large.querySelectorAll("[data-do]")) {
    button.disabled = !decidable(picture);
    if (button.dataset.do === "clear") button.hidden = !given;
    if (button.dataset.do !== "clear") button.setAttribute("aria-pressed", String(given?.action === button.dataset.do));
  }
  if (!large.open) large.showModal();
};

cut.addEventListener("input", setCut);
large.addEventListener("close", () => goTo(current));
large.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (event.target === large || button?.dataset.go === "0") large.close();
  else if (button?.dataset.go) showLarge(current + Number(button.dataset.go));
  else if (button?.dataset.do) doIt(button.dataset.do);
  else if (button?.dataset.show) {
    const wanted = pictures[placeOf.get(button.dataset.show)];
    if (!view.includes(wanted)) { reset(); choose(); }
    showLarge(view.indexOf(wanted));
  }
});
