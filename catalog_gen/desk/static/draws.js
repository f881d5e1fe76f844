// Pictures asked for "now": the pill at the top says how far they are, and a message leads to each that is done.

import { $, Refused, ask, failure, notice } from "./core.js";

const SECONDS = 2.5;
let timer = 0;
let known = null; // sku and style -> state, as last seen; null before the first look

/** Look now, and go on looking while any of them is under way. */
export async function watchDraws() {
  clearTimeout(timer);
  let draws;
  try {
    ({ draws } = await ask("/api/draws"));
  } catch (error) {
    if (error instanceof Refused && error.status < 500) return; // logged out: the page says so elsewhere
    failure(error); // what else it may be will pass
    timer = setTimeout(watchDraws, SECONDS * 4000);
    return;
  }
  show(draws);
  if (draws.some((draw) => draw.state === "waiting" || draw.state === "drawing")) timer = setTimeout(watchDraws, SECONDS * 1000);
}

function show(draws) {
  const active = draws.filter((draw) => draw.state === "waiting" || draw.state === "drawing");
  const pill = $("draws");
  pill.hidden = !active.length;
  pill.textContent = active.length === 1 ? `drawing ${active[0].sku}` : `drawing ${active.length}`;
  pill.href = `/audit?sku=${encodeURIComponent(active[0]?.sku ?? "")}`;
  const before = known;
  known = new Map(draws.map((draw) => [draw.id, draw.state]));
  if (!before) return;
  for (const draw of draws) {
    if (before.get(draw.id) === draw.state) continue;
    if (draw.state === "done") notice(`${draw.sku}: the new picture is there.`, { actions: draw.asset ? [["Look", `/picture/${draw.asset}`]] : [] });
    if (draw.state === "failed") notice(`${draw.sku}: not drawn: ${draw.told}`, { wrong: true });
  }
}
