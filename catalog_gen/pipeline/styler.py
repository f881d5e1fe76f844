"""How a product becomes a restyled picture: cut out, placed, stylised, finished; by the job and by the preview.

`catalog_gen.style` brings torch; it is imported where it is used, so that a command's help stays light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from catalog_gen.config import Settings
from catalog_gen.errors import RowError, Unavailable, UsageError
from catalog_gen.pipeline.models import choose_device
from catalog_gen.pipeline.restyle_work import Pixels

if TYPE_CHECKING:
    from torch import Tensor

    from catalog_gen.style.engine import EngineConfig, StyleEngine
    from catalog_gen.style.matte import Cutout
    from catalog_gen.style.prior import Prior
    from catalog_gen.style.template import Template
    from catalog_gen.style.template_config import Output

OVERLAP = 128  # px of neighbouring tiles
BATCH = {"cpu": 2, "mps": 8, "cuda": 16}


@dataclass(frozen=True, kw_only=True)
class Styler:
    """A template and its engine. `engines` are this engine, once a candidate, with the look that they share `prepared`.

    `prior` completes what is cut out; None: products are cut out by their colours alone. Candidates have numbers, which
    a random engine draws by: those of a first attempt are the first numbers.
    """

    template: Template
    engines: tuple[StyleEngine, ...]
    prepared: Any
    device: str
    batch: int  # pictures of one size that are stylised at once
    tile: int
    prior: Prior | None = None
    further: dict[int, StyleEngine] = field(default_factory=dict)  # opened for later attempts, by candidate

    @property
    def candidates(self) -> int:
        """How many pictures are made, of which the best is kept."""
        return len(self.engines)

    @property
    def stochastic(self) -> bool:
        """Whether another candidate is another picture."""
        return bool(getattr(self.engines[0], "stochastic", False))

    def engine(self, candidate: int) -> StyleEngine:
        """Return the engine that makes the candidate of this number."""
        if candidate < self.candidates:
            return self.engines[candidate]
        if candidate not in self.further:  # two threads may both open it: they open the same
            self.further[candidate] = reseeded(self.engines[0], self.template.config, self.device, candidate)
        return self.further[candidate]

    def cut_out(self, photo: Image.Image, words: str) -> Cutout:
        """Return the product of these words without its ground. Raises RowError where none can be told from it."""
        from catalog_gen.style.matte import cut_out_with

        cutout = cut_out_with(photo, self.prior, glass=self.lets_through(words))
        if cutout.fault:
            raise RowError(f"the product cannot be cut out: {cutout.fault}")
        return cutout

    def lets_through(self, words: str) -> bool:
        """Return whether the scene shows through a product of these words."""
        from catalog_gen.style.layout import has_panes

        return self.template.config.clear_glass and has_panes(words)

    def place(self, output: Output, cutout: Cutout, words: str) -> tuple[Pixels, Pixels]:
        """Return the product, posed as its words tell, in its scene (H, W, 3) and its alpha (H, W), both uint8."""
        from catalog_gen.style.compose import place
        from catalog_gen.style.layout import pose_of

        scene = place(self.template, output, cutout, known=pose_of(words))
        return as_bytes(scene.content), as_bytes(scene.alpha)

    def stylise(self, candidate: int, contents: Sequence[Pixels], products: Sequence[Pixels]) -> list[Pixels]:
        """Return the pictures of one size in the template's style, scene and product each by its strength."""
        import torch

        if len(contents) > 1:
            try:
                return self._stylise(candidate, contents, products)
            except torch.cuda.OutOfMemoryError:
                half = len(contents) // 2
            torch.cuda.empty_cache()  # outside of the handler, which still holds the tensors
            return self.stylise(candidate, contents[:half], products[:half]) + self.stylise(
                candidate, contents[half:], products[half:]
            )
        try:
            return self._stylise(candidate, contents, products)
        except torch.cuda.OutOfMemoryError as error:
            raise Unavailable(
                "the device has too little memory for one picture",
                where=f"template {self.template.name}",
                hint="Lower restyle.tile, or use another device.",
            ) from error

    def _stylise(self, candidate: int, contents: Sequence[Pixels], products: Sequence[Pixels]) -> list[Pixels]:
        import torch

        from catalog_gen.style.blend import blend
        from catalog_gen.style.tiles import stylise_tiled

        config = self.template.config
        content = self._tensor(np.stack(contents)).permute(0, 3, 1, 2).contiguous()  # (B, 3, H, W) in [0, 1]
        product = self._tensor(np.stack(products))[:, None]  # (B, 1, H, W) in [0, 1]
        stylised = stylise_tiled(self.engine(candidate), content, product, self.prepared, self.tile, OVERLAP)
        with torch.no_grad():
            strengths = (config.strength, config.product_strength, config.keep_colours)
            mixed = blend(content, stylised, product, *strengths)
            # NaN would become 0, a black picture that no limit on the product's own pixels need notice.
            whole = mixed.isfinite().flatten(1).all(1).tolist()
            pixels = (mixed.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return [picture if sound else pixels[0][:0] for picture, sound in zip(pixels, whole, strict=True)]

    def _tensor(self, pixels: Pixels) -> Tensor:
        import torch

        return torch.from_numpy(pixels).to(self.device).float() / 255

    def finish(self, output: Output, picture: Pixels) -> Pixels:
        """Return the picture with the template's frame, logo and text over it."""
        from catalog_gen.style.compose import overlay

        return as_bytes(overlay(self.template, output, as_floats(picture)))


def open_styler(settings: Settings, template: Template, candidates: int = 1) -> Styler:
    """Return the template with its engine, ready to restyle.

    Raises UsageError for candidates of an engine that can make only one, BundleError when its
    weights or the matte's are missing.
    """
    from catalog_gen.style.engine import open_engine
    from catalog_gen.style.prior import load_prior

    device = choose_device(settings.restyle.device, "restyle.device")
    engine = open_engine(template.config, device)
    engines = [engine]
    if candidates > 1:
        if not getattr(engine, "stochastic", False):
            raise UsageError(
                f"the engine {engine.name} makes one picture, the same every time",
                where="--candidates",
                hint="Leave --candidates out, or let the template name the engine gatys.",
            )
        engines += [reseeded(engine, template.config, device, seed) for seed in range(1, candidates)]
    return Styler(
        template=template,
        engines=tuple(engines),
        prepared=engine.prepare(template.look(device)),
        device=device,
        batch=settings.restyle.batch or BATCH[device],
        tile=settings.restyle.tile,
        prior=load_prior(settings.restyle.matte),
    )


def reseeded(engine: StyleEngine, config: EngineConfig, device: str, seed: int) -> StyleEngine:
    """Return a random engine opened with another seed."""
    kind: Any = type(engine)
    opened: StyleEngine = kind.open(config, device, seed=seed)
    return opened


def as_bytes(values: npt.NDArray[np.float32]) -> Pixels:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def as_floats(pixels: Pixels) -> npt.NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(255)
