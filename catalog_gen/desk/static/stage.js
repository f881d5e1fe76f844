// The large picture: alone, beside another one, or under a slider; and a closer look.

import { $, el, key } from "./core.js";

const ZOOM_STEP = 12; // percent of the picture that an arrow key moves the closer look

export class Stage {
  #card = null;
  #mode = "one"; // "one", "side" or "slide"
  #which = 0;
  #zoomed = false;
  #point = [50, 50];

  /** Bind the keys of looking; arrows move the closer look where the page lets them. */
  bindKeys() {
    key("c", "compare side by side", () => this.#toggle("side"));
    key("x", "compare under a slider", () => this.#toggle("slide"));
    key("v", "compare with another one", () => this.#compareNext());
    key("z", "closer, and back; arrows move it", () => this.#zoom(!this.#zoomed));
    key("Escape", "one picture, whole", () => {
      this.#mode = "one";
      this.#zoomed = false;
      this.#draw();
    });
  }

  get isZoomed() {
    return this.#zoomed;
  }

  /** Show a card. What it is compared with stays on where the new one has it too. */
  show(card) {
    this.#card = card;
    this.#which = Math.min(this.#which, Math.max(0, card.beside.length - 1));
    this.#zoomed = false;
    this.#draw();
  }

  /** Move the closer look by an arrow key's step. */
  pan(x, y) {
    this.#aim(this.#point[0] + x * ZOOM_STEP, this.#point[1] + y * ZOOM_STEP);
  }

  #toggle(mode) {
    if (!this.#card?.beside.length) return;
    this.#mode = this.#mode === mode ? "one" : mode;
    this.#draw();
  }

  #compareNext() {
    const count = this.#card?.beside.length ?? 0;
    if (!count) return;
    if (this.#mode === "one") this.#mode = "side";
    else this.#which = (this.#which + 1) % count;
    this.#draw();
  }

  #draw() {
    const card = this.#card;
    if (!card) return;
    this.#looks();
    const mode = card.beside.length ? this.#mode : "one";
    const own = this.#picture(`/image/${card.id}?w=960`, alt(card));
    if (mode === "one") {
      $("frame").replaceChildren(figure(own, null));
      return;
    }
    const [label, image, page] = card.beside[this.#which];
    const other = this.#picture(image, label);
    const name = page ? el("a", { href: page }, label) : label;
    if (mode === "side") $("frame").replaceChildren(figure(own, "this one"), figure(other, name));
    else $("frame").replaceChildren(slider(own, other, label));
  }

  #looks() {
    const { beside } = this.#card;
    const mode = (name, text, cap) =>
      el("button", { type: "button", "aria-pressed": String(this.#mode === name), onclick: () => this.#toggle(name) }, `${text} `, el("kbd", {}, cap));
    const choose = beside.map(([label], index) =>
      el("button", { type: "button", class: "beside", "aria-pressed": String(this.#mode !== "one" && this.#which === index), onclick: () => this.#choose(index) }, label),
    );
    const zoom = el("button", { type: "button", "aria-pressed": String(this.#zoomed), onclick: () => this.#zoom(!this.#zoomed) }, "Closer ", el("kbd", {}, "Z"));
    const compare = beside.length ? [mode("side", "Side by side", "C"), mode("slide", "Slider", "X"), ...choose] : [];
    $("looks").replaceChildren(zoom, ...compare);
  }

  #choose(index) {
    if (this.#mode === "one") this.#mode = "side";
    this.#which = index;
    this.#draw();
  }

  #picture(address, text) {
    const image = el("img", { src: address, alt: text, draggable: "false" });
    image.addEventListener("error", () => image.replaceWith(el("p", { class: "broken" }, "This picture cannot be shown: the storage does not have it, or does not answer.")));
    const window = el("div", { class: "window" }, image);
    window.addEventListener("click", (event) => this.#clicked(event, window));
    window.addEventListener("pointermove", (event) => this.#zoomed && event.pointerType === "mouse" && this.#aimAt(event, window));
    return window;
  }

  #clicked(event, window) {
    if (event.target.closest("a, input")) return;
    this.#aimAt(event, window);
    this.#zoom(!this.#zoomed);
  }

  #aimAt(event, window) {
    const box = window.getBoundingClientRect();
    this.#aim((100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height);
  }

  #aim(x, y) {
    this.#point = [Math.min(100, Math.max(0, x)), Math.min(100, Math.max(0, y))];
    for (const window of document.querySelectorAll("#frame .window")) {
      window.style.setProperty("--x", `${this.#point[0]}%`);
      window.style.setProperty("--y", `${this.#point[1]}%`);
    }
  }

  #zoom(on) {
    this.#zoomed = on;
    this.#aim(...this.#point);
    for (const window of document.querySelectorAll("#frame .window")) {
      window.classList.toggle("zoomed", on);
      for (const image of on ? window.querySelectorAll('img[src^="/image/"]') : []) {
        image.src = image.getAttribute("src").split("?")[0]; // as it is stored
      }
    }
    this.#looks();
  }
}

/** What a picture shows, for those who cannot see it. */
export function alt(card) {
  return `Picture of: ${card.title || card.words || card.sku}`;
}

function figure(window, caption) {
  return el("figure", {}, window, caption && el("figcaption", {}, caption));
}

function slider(own, other, label) {
  const cut = el("div", { class: "cut" }, ...own.childNodes);
  const seam = el("div", { class: "seam" });
  other.append(cut, seam);
  other.classList.remove("zoomed");
  const slide = el("input", { type: "range", class: "slide", min: "0", max: "100", value: "50", "aria-label": `Left of the seam: ${label}; right of it: this picture` });
  const move = () => {
    for (const part of [cut, seam]) part.style.setProperty("--cut", `${slide.value}%`);
  };
  slide.addEventListener("input", move);
  move();
  return el("figure", {}, other, slide, el("figcaption", {}, `left: ${label} · right: this one`));
}
