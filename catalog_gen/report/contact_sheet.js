"use strict";
(() => {
  const cards = [...document.querySelectorAll("li")];
  const sections = [...document.querySelectorAll("section")];
  const tools = document.querySelector(".tools");
  const form = tools.querySelector("form");
  const search = form.querySelector("input");
  const category = form.querySelector("select");
  const states = form.querySelector(".states");
  const shown = form.querySelector("output");
  const main = document.querySelector("main");
  const empty = document.querySelector(".empty");
  const dialog = document.querySelector("dialog");
  const words = new Map(cards.map((card) => [card, card.querySelector(".text").textContent.toLowerCase()]));
  let state = "";
  let current = -1;

  const counts = new Map();
  for (const card of cards) {
    const name = card.querySelector(".state").textContent;
    counts.set(name, (counts.get(name) || 0) + 1);
  }
  const addState = (value, label, count) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.dataset.state = value;
    button.setAttribute("aria-pressed", String(value === state));
    const number = document.createElement("b");
    number.textContent = count.toLocaleString();
    button.append(number);
    states.append(button);
  };
  addState("", "All", cards.length);
  for (const [name, count] of [...counts].sort()) addState(name, name, count);
  for (const section of sections) {
    category.add(new Option(section.dataset.category || "No category", section.dataset.category));
    section.querySelector("h2 span").textContent = section.querySelectorAll("li").length.toLocaleString();
  }

  const apply = () => {
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const inCategory = category.selectedIndex - 1;
    let visible = 0;
    for (const [number, section] of sections.entries()) {
      let here = 0;
      for (const card of section.querySelectorAll("li")) {
        const text = words.get(card);
        const fits = (inCategory < 0 || inCategory === number) &&
          (!state || card.querySelector(".state").textContent === state) &&
          wanted.every((word) => text.includes(word));
        card.hidden = !fits;
        here += fits;
      }
      section.hidden = !here;
      visible += here;
    }
    // A few matches in many categories are one list, not a column of near-empty sections.
    main.classList.toggle("flat", visible > 0 && Boolean(state || wanted.length));
    empty.hidden = visible > 0;
    shown.textContent = visible === cards.length
      ? `${visible.toLocaleString()} pictures`
      : `${visible.toLocaleString()} of ${cards.length.toLocaleString()} pictures`;
  };

  const show = (index) => {
    const card = cards[index];
    current = index;
    const picture = card.querySelector("img");
    const large = dialog.querySelector("img");
    large.hidden = !picture;
    if (picture) { large.src = picture.src; large.alt = picture.alt; }
    dialog.querySelector(".details").replaceChildren(...[...card.querySelector(".text").children].map((each) => each.cloneNode(true)));
    dialog.querySelector(".details").className = `details text ${card.className}`;
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => {
    for (let index = current + by; index >= 0 && index < cards.length; index += by) {
      if (!cards[index].hidden) return show(index);
    }
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", apply);
  category.addEventListener("change", apply);
  states.addEventListener("click", (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    state = pressed.dataset.state;
    for (const button of states.children) button.setAttribute("aria-pressed", String(button === pressed));
    apply();
  });
  main.addEventListener("click", (event) => {
    const opener = event.target.closest(".open");
    if (opener) show(cards.indexOf(opener.closest("li")));
  });
  dialog.addEventListener("click", (event) => {
    const action = event.target.closest("button")?.value;
    if (action === "next") step(1);
    else if (action === "previous") step(-1);
    else if (action === "close" || event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => cards[current]?.querySelector(".open")?.focus());
  document.addEventListener("keydown", (event) => {
    if (dialog.open && event.key === "ArrowRight") step(1);
    else if (dialog.open && event.key === "ArrowLeft") step(-1);
    else if (!dialog.open && event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
  });
  tools.hidden = false;
  apply();
})();
