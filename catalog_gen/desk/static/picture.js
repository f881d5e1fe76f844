// A picture's own page: the large picture gets its closer look and its comparisons; the forms work without.

import { $, ask, start } from "./core.js";
import { watchDraws } from "./draws.js";
import { Stage } from "./stage.js";

start();
const stage = new Stage();
stage.show(await ask(`/api/picture/${$("frame").dataset.id}`));
watchDraws();
