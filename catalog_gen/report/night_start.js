// What a key or a click does, and the beginning.
let lastReason = "";

const told = () => {  // the bar at the bottom
  const { approve, reject, again } = tally();
  const parts = [[approve, "approved"], [reject, "rejected"], [again, "again"]].filter(([number]) => number);
  byId("tally").replaceChildren(...(parts.length
    ? parts.map(([number, word]) => make("span", word, `${count(number)} ${word}`))
    : ["Nothing decided yet."]));
  const notes = [];
  if (!keeps && decisions.size) notes.push("This browser keeps nothing: download before you close the page.");
  else if (decisions.size) notes.push(downloaded ? "Downloaded. Apply it with: catalog-gen review apply decisions.json" : "Kept in this browser, not downloaded yet.");
  else notes.push("A approves, R rejects, N asks again.");
  if (outdated) notes.push(`${count(outdated)} earlier decisions were on pictures that have changed since; they are left out.`);
  byId("note").textContent = notes.join(" ");
  byId("download").disabled = decisions.size === 0;
  byId("bar").classList.toggle("some", decisions.size > 0);
  byId("undo").disabled = undos.length === 0;
};
const decided = (picture, words) => {  // after a decision on the current picture: show it, and go on
  told();
  say(`${picture.sku} ${words}. ${count(decisions.size)} decided.`);
  const wasLarge = large.open;
  const gone = filters.decided.value && !fits(picture);
  if (gone) choose();
  else redraw(current);
  const next = gone ? current : Math.min(view.length - 1, current + 1);
  if (!view.length) { if (wasLarge) large.close(); return; }
  if (wasLarge) showLarge(next);
  else goTo(next);
};
const reject = (picture) => {
  const box = byId("reasons");
  const done = (reason) => {
    if (!reason.trim()) return;
    lastReason = reason.trim();
    byId("why").close();
    put([[picture, decision(picture, "reject", { reason: lastReason })]]);
    decided(picture, `rejected: ${lastReason}`);
  };
  box.replaceChildren(...data.reasons.slice(0, 9).map((reason, place) => {
    const button = make("button", "", make("kbd", "", String(place + 1)), isolated(reason));
    button.type = "button";
    button.dataset.reason = reason;
    return button;
  }));
  box.onclick = (event) => { const chosen = event.target.closest("button"); if (chosen) done(chosen.dataset.reason); };
  byId("said").value = lastReason;
  byId("said").required = true;
  byId("why").onkeydown = (event) => {
    if (/^[1-9]$/.test(event.key) && !event.ctrlKey && !event.metaKey && (event.target !== byId("said") || byId("said").value === lastReason)) {
      const chosen = box.children[Number(event.key) - 1];
      if (chosen) { event.preventDefault(); done(chosen.dataset.reason); }
    }
  };
  ask(byId("why"), () => done(byId("said").value));
  byId("said").focus();
  byId("said").select();
};
const again = (picture) => {
  const drawn = picture.kind === "generated";
  byId("anew-about").textContent = drawn
    ? "The next night draws it anew with another seed; this picture goes."
    : "The next run makes it anew; this picture goes.";
  byId("anew-words").hidden = byId("anew-candidates").hidden = !drawn;
  byId("words").value = picture.words;
  byId("candidates").value = byId("wrong").value = "";
  ask(byId("anew"), () => {
    const words = byId("words").value.trim();
    const wish = {
      reason: byId("wrong").value.trim(),
      words: drawn && words !== picture.words.trim() ? words : "",
      candidates: drawn && byId("candidates").value ? Number(byId("candidates").value) : null,
    };
    put([[picture, decision(picture, "again", wish)]]);
    decided(picture, "asked for again");
  });
};
const doIt = (what) => {
  const picture = view[current];
  if (!picture) return;
  if (what === "clear") {
    if (!decisions.has(picture.id)) return;
    put([[picture, undefined]]);
    told();
    say(`${picture.sku} is undecided.`);
    if (filters.decided.value) choose(); else redraw(current);
    if (large.open && view.length) showLarge(current);
    return;
  }
  if (!decidable(picture)) { say(`${picture.sku} is not live any more: nothing to decide.`); return; }
  if (what === "approve") { put([[picture, decision(picture, "approve")]]); decided(picture, "approved"); }
  else if (what === "reject") reject(picture);
  else if (what === "again") again(picture);
};
const takeBack = () => {
  const picture = undo();
  if (!picture) return;
  told();
  say("Undone.");
  choose();
  const place = view.indexOf(picture);
  if (place < 0) return;
  if (large.open) showLarge(place); else goTo(place);
};
const sure = (title, about, then) => {
  byId("sure-title").textContent = title;
  byId("sure-about").textContent = about;
  ask(byId("sure"), then);
};
const reset = () => {
  for (const name of ["category", "reason", "look", "decided", "from", "to", "search"]) filters[name].value = "";
  state = "";
};

const fill = (select, values) => {
  for (const [value, label] of values) select.add(new Option(label, value));
};
const counted = (values) => {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
};
const start = () => {
  const chip = (value, label) => {
    const button = make("button", "", label, make("b"));
    button.type = "button";
    button.dataset.state = value;
    byId("states").append(button);
  };
  chip("", "All");
  for (const [name] of counted(pictures.map(stateOf))) chip(name, name);
  fill(filters.category, counted(pictures.map((p) => p.category)).sort().map(([name, n]) => [`=${name}`, `${name || "No category"} (${count(n)})`]));
  fill(filters.reason, [["none", `No reason (${count(pictures.filter((p) => !p.groups.length).length)})`],
    ...counted(pictures.flatMap((p) => p.groups)).map(([name, n]) => [`=${name}`, `${name} (${count(n)})`])]);
  const looks = counted(pictures.map((p) => p.look));
  fill(filters.look, looks.map(([name, n]) => [`=${name}`, `${name || "As drawn"} (${count(n)})`]));
  filters.look.hidden = looks.length < 2;
  fill(filters.order, ORDERS.map(([label], place) => [String(place), label]));
  const scores = pictures.map((p) => p.score).filter((score) => score !== null);
  byId("between").hidden = scores.length === 0;
  byId("between").title = data.score.label;
  const unit = 10 ** data.score.digits;
  filters.from.step = filters.to.step = String(10 / unit);
  filters.from.placeholder = String(Math.floor(scores.reduce((a, b) => Math.min(a, b), Infinity) * unit) / unit);
  filters.to.placeholder = String(Math.ceil(scores.reduce((a, b) => Math.max(a, b), -Infinity) * unit) / unit);
  byId("tools").hidden = grid.hidden = byId("bar").hidden = false;
  load();
  byId("reviewer").value = kept(NAME) || "";
  const unreadable = pictures.filter((p) => !imageOf(p.image)).length;
  byId("unreadable").hidden = unreadable === 0;
  byId("unreadable").textContent = unreadable === 1
    ? "One of these pictures cannot be shown: its file is missing or damaged. Its card says why."
    : `${count(unreadable)} of these pictures cannot be shown: their files are missing or damaged. Each card says why.`;
  byId("more").open = innerWidth > 760;
  keep(KEPT, JSON.stringify(Object.fromEntries(decisions)));
  told();
  choose();
};

byId("tools").addEventListener("submit", (event) => event.preventDefault());
byId("tools").addEventListener("input", choose);
byId("states").addEventListener("click", (event) => {
  const chip = event.target.closest("button");
  if (chip) { state = chip.dataset.state; choose(); }
});
byId("all").addEventListener("click", () => { reset(); choose(); });
byId("undo").addEventListener("click", takeBack);
byId("keys").addEventListener("click", () => ask(byId("help"), () => {}));
byId("forget").addEventListener("click", () => byId("save").close() || sure(`Forget ${count(decisions.size)} decisions?`, "Undo brings them back while the page is open.", () => {
  put([...decisions.keys()].map((id) => [pictures[placeOf.get(id)], undefined]));
  told();
  choose();
}));
byId("many").addEventListener("click", () => {
  const open = view.filter((picture) => decidable(picture) && !decisions.has(picture.id));
  sure(`Approve ${count(open.length)} pictures?`, "All that are shown now and not decided yet. One Undo takes all of it back.", () => {
    put(open.map((picture) => [picture, decision(picture, "approve")]));
    told();
    choose();
  });
});
byId("download").addEventListener("click", () => {
  const { approve, reject, again } = tally();
  byId("save-about").textContent = `${count(approve)} approved, ${count(reject)} rejected, ${count(again)} asked for again.`;
  ask(byId("save"), () => {
    const name = byId("reviewer").value.trim();
    keep(NAME, name);
    download(name);
    told();
  });
});
byId("reviewer").addEventListener("input", () => {  // spaces are no name
  byId("reviewer").setCustomValidity(byId("reviewer").value.trim() ? "" : "Say who you are.");
});
grid.addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  const button = event.target.closest("button");
  if (!card || !button) return;
  const place = Number(card.dataset.place);
  if (button.dataset.do) {
    become(place);
    doIt(decisions.get(view[place].id)?.action === button.dataset.do ? "clear" : button.dataset.do);
  } else showLarge(place);
});
grid.addEventListener("focusin", (event) => {
  const card = event.target.closest(".card");
  if (card) become(Number(card.dataset.place));  // without scrolling: a click would miss what moved under it
});
document.addEventListener("keydown", (event) => {
  const other = [...document.querySelectorAll("dialog[open]")].some((dialog) => dialog !== large);
  if (other || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const sliding = event.target === cut;
  const inGrid = grid.contains(event.target) || event.target === document.body;
  const steps = { ArrowLeft: -1, ArrowRight: 1, j: 1, k: -1, ...(large.open ? {} : { ArrowUp: -columns, ArrowDown: columns }) };
  if (key in steps && !sliding && (large.open || (inGrid && (event.target !== document.body || key.length === 1)))) {
    event.preventDefault();
    if (large.open) showLarge(current + steps[key]); else goTo(current + steps[key]);
  } else if (key === "/" && !large.open) { event.preventDefault(); filters.search.focus(); }
  else if (key === "?") ask(byId("help"), () => {});
  else if (key === "z") takeBack();
  else if ("arnu".includes(key) && key.length === 1 && (large.open || inGrid)) {
    event.preventDefault();
    if (!large.open && event.target === document.body && !inView(current)) goTo(current);  // first show what it is about
    else doIt({ a: "approve", r: "reject", n: "again", u: "clear" }[key]);
  }
});
const soon = (what) => {  // at most once a frame
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; what(); });
  };
};
addEventListener("scroll", soon(draw), { passive: true });
new IntersectionObserver(([seen]) => byId("bar").classList.toggle("in-view", seen.isIntersecting)).observe(grid);
new ResizeObserver(soon(layOut)).observe(grid);
addEventListener("storage", (event) => { if (event.key === KEPT) { load(); told(); choose(); } });
addEventListener("beforeunload", (event) => { if (!keeps && !downloaded) event.preventDefault(); });
if (pictures.length) start();
