// Decisions: kept by this browser until they are downloaded as a file that `catalog-gen review apply` takes.
const KEPT = `catalog-gen:decisions:${data.run}`;
const NAME = "catalog-gen:reviewer";
const DONE = { approve: "approved", reject: "rejected", again: "asked for again" };
const decisions = new Map();  // by picture: {id, action, version, reason, words, candidates}
const undos = [];
let keeps = true;  // whether the browser keeps them
let downloaded = true;
let outdated = 0;

const keep = (name, value) => {
  try { localStorage.setItem(name, value); } catch { keeps = false; }
};
const kept = (name) => {
  try { return localStorage.getItem(name); } catch { keeps = false; return null; }
};
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte, place) => {
  const value = place === 6 ? byte & 15 | 64 : place === 8 ? byte & 63 | 128 : byte;  // a random UUID: RFC 9562, version 4
  return value.toString(16).padStart(2, "0");
}).join("");

const load = () => {
  let found = {};
  try { found = JSON.parse(kept(KEPT) || "{}"); } catch { found = {}; }
  decisions.clear();
  outdated = 0;
  for (const [picture, decision] of Object.entries(found)) {
    const place = placeOf.get(picture);
    if (place === undefined || !DONE[decision.action]) continue;
    if (decision.version === pictures[place].version) decisions.set(picture, decision);
    else outdated += 1;  // applied meanwhile, or somebody else decided: the report is newer than the decision
  }
  downloaded = decisions.size === 0;
};
const store = () => {
  downloaded = decisions.size === 0;
  keep(KEPT, JSON.stringify(Object.fromEntries(decisions)));
};

const decidable = (picture) => picture.live;
const put = (batch) => {  // [[picture, decision or undefined], ...], one step for Undo
  undos.push(batch.map(([picture]) => [picture, decisions.get(picture.id)]));
  for (const [picture, decision] of batch) {
    if (decision) decisions.set(picture.id, decision);
    else decisions.delete(picture.id);
  }
  store();
};
const decision = (picture, action, { reason = "", words = "", candidates = null } = {}) => (
  { id: newId(), action, version: picture.version, reason, words, candidates }
);
const undo = () => {
  const batch = undos.pop();
  if (!batch) return null;
  put(batch);
  undos.pop();  // undoing is not itself something to undo
  return batch[0][0];
};

const asFile = (reviewer) => ({
  format: "catalog-gen-decisions",
  version: 1,
  run: data.run,
  reviewer,
  decisions: [...decisions].map(([picture, { id, action, version, reason, words, candidates }]) => (
    { id, asset: picture, version, sha256: pictures[placeOf.get(picture)].sha256, action, reason, words, candidates }
  )),
});
const download = (reviewer) => {
  const text = JSON.stringify(asFile(reviewer), null, 1) + "\n";
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "decisions.json";
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  downloaded = true;
};
const tally = () => {
  const counts = { approve: 0, reject: 0, again: 0 };
  for (const { action } of decisions.values()) counts[action] += 1;
  return counts;
};
