"""A training's figures and sheets on Weights & Biases, online or offline (`WANDB_MODE=offline`)."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from catalog_gen.training.extras import needs

logger = logging.getLogger(__name__)

ID_FILE = "wandb-id"
FINISH_SECONDS = 120.0  # what is not uploaded by then stays in the folder, for `wandb sync`


class WandbRun:
    """One run of Weights & Biases for one training folder, however often the training is started again.

    The run's id lives in the folder. Raises Unavailable when the package is missing; whatever else goes wrong with
    Weights & Biases (no network, no key) is said once as a warning, and the training goes on without it.
    """

    def __init__(self, folder: Path, project: str, *, name: str, settings: Mapping[str, Any], resume: bool) -> None:
        with needs("wandb", "wandb"):
            import wandb

        self._wandb = wandb
        self._run: wandb.Run | None = None
        file = folder / ID_FILE
        if not (resume and file.exists()):
            file.write_text(secrets.token_hex(8), encoding="utf-8")

        def start() -> None:
            run = wandb.init(
                project=project,
                id=file.read_text(encoding="utf-8").strip(),
                name=name,
                dir=folder,
                resume="allow",
                config=dict(settings),
                settings=wandb.Settings(console="off", finish_timeout=FINISH_SECONDS),
            )
            run.define_metric("images")
            run.define_metric("*", step_metric="images")
            self._run = run

        self._guarded(start)

    def log(self, images_seen: int, values: Mapping[str, float | str]) -> None:
        """Send values at a count of images; strings become text."""
        run = self._run
        if run is not None:
            self._guarded(lambda: run.log({"images": images_seen, **values}))

    def sheet(self, images_seen: int, path: Path) -> None:
        """Send the picture in the file `path`."""
        run = self._run
        if run is not None:
            self._guarded(lambda: run.log({"images": images_seen, "sheet": self._wandb.Image(str(path))}))

    def close(self) -> None:
        """Finish the run; an upload that hangs is left for `wandb sync`."""
        run = self._run
        if run is not None:
            self._guarded(run.finish)
        self._run = None

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # a service beside the training must not end it, whatever it raises
            reason = " ".join(str(error).split())
            logger.warning("Weights & Biases is left out from here on (%s); the training goes on", reason)
            self._run = None
