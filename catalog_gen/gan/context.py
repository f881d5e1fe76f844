"""What a training is given beside its data, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from catalog_gen.gan.generator import Generator
from catalog_gen.gan.players import ImageTower
from catalog_gen.gan.sheet import Sheet

Measure = Callable[[Generator], Mapping[str, float]]  # an averaged generator, in eval mode -> figures by name
Ending = Literal["finished", "stopped", "alarm"]


@dataclass(frozen=True)
class TrainContext:
    """What a training may be given beside its data; each part can be left out.

    sheet: words to draw while training. clip_image: for CLIP guidance. measure: figures of a generator, `kid` among
    them, lower is better. initial: a trained generator's tensors to start from. report: told (images seen, figures)
    after each measurement; raises to end the training. should_stop: asked before the first step and after each.
    """

    sheet: Sheet | None = None
    clip_image: ImageTower | None = None
    measure: Measure | None = None
    initial: Mapping[str, Tensor] | None = None
    report: Callable[[int, Mapping[str, float]], None] | None = None
    should_stop: Callable[[], bool] = lambda: False
    photos: Path | None = None  # where decoded photos are kept; None: in the work folder
    pretrained: bool = True  # False: the frozen features keep random weights (for tests)


@dataclass(frozen=True)
class GanTrainResult:
    """What came of a training. `ending` is "stopped" when a signal or the time bound ended it before `images`.

    bundle: None when nothing worth keeping was learnt before an alarm. measured: the bundle's own figures.
    already: an earlier start had finished, and this one did nothing.
    """

    bundle: Path | None
    checkpoint: Path
    steps: int
    images_seen: int
    seconds: float  # of all starts together
    ending: Ending
    alarm: str = ""
    already: bool = False
    losses: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.ending == "finished"
