"""A row on its way through the restyling stages: its source, its cut-out, and a picture for every stale output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from catalog_gen.catalog.model import PictureSource
from catalog_gen.pipeline.work import Row
from catalog_gen.storage import Stored

if TYPE_CHECKING:
    from catalog_gen.quality.doubt import Cutout as CutoutKind
    from catalog_gen.style.matte import Cutout
    from catalog_gen.style.template_config import Output

Pixels = npt.NDArray[np.uint8]


@dataclass(slots=True)
class OutputWork:
    """One output of a row. Pixels are 8 bits deep between the stages: a page of large outputs must fit in memory."""

    output: Output
    input_hash: str
    first_candidate: int = 0  # its number, which a random engine draws by
    content: Pixels | None = None  # (H, W, 3), the product placed in its scene
    product: Pixels | None = None  # (H, W), its alpha
    stylised: list[Pixels] = field(default_factory=list)  # (H, W, 3), one a candidate
    chosen: int = 0
    nearness: float = 0.0  # of the chosen one to the template's limits, 0 to 1
    picture: Pixels | None = None  # (H, W, 3), the chosen one
    scores: dict[str, float] = field(default_factory=dict)
    data: bytes = b""
    stored: Stored | None = None

    @property
    def candidate(self) -> int:
        """The number of the chosen candidate."""
        return self.first_candidate + self.chosen

    def drop(self) -> None:
        self.content = self.product = self.picture = None
        self.stylised = []
        self.data = b""


@dataclass(slots=True)
class RestyleWork(Row):
    """A row that gets its pictures restyled. `said` is what the source's own metadata says of where it comes from."""

    source: PictureSource | None = None
    source_sha256: str = ""
    said: dict[str, str] = field(default_factory=dict)
    cut: CutoutKind = "sure"
    photo: Image.Image | None = None
    cutout: Cutout | None = None
    outputs: list[OutputWork] = field(default_factory=list)

    def skip(self, reason: str) -> None:
        """Leave the row as it is: there is nothing to do for it any more."""
        self.outcome, self.reason = "skipped", reason
        self.drop()

    def drop(self) -> None:
        self.photo = self.cutout = None
        for work in self.outputs:
            work.drop()
