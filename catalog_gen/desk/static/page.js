// Pages that need no script of their own: the keys that every page has.

import { start } from "./core.js";
import { watchDraws } from "./draws.js";

start();
watchDraws();
