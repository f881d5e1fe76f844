// A picture's own page: the large picture gets its closer look and its comparisons; the forms work without.

import { $, ask, key, start } from "./core.js";
import { watchDraws } from "./draws.js";
import { Stage } from "./stage.js";

const stage = new Stage();
stage.bindKeys();
for (const [name, x, y] of [["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]]) {
  key(name, "", () => stage.isZoomed && stage.pan(x, y));
}
start();
stage.show(await ask(`/api/picture/${$("frame").dataset.id}`));
watchDraws();
