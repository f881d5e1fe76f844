"""A restyling run's template, engine and models, and the steps of a picture that they make.

`catalog_gen.style` brings torch; it is imported where it is used, so that a command's help stays light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from catalog_gen.catalog.model import Product
from catalog_gen.catalog.restyling import input_hash
from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.config import Settings
from catalog_gen.errors import RowError, Unavailable, UsageError
from catalog_gen.pipeline.models import choose_device, cores, one_thread_a_batch
from catalog_gen.pipeline.restyle_work import Pixels

if TYPE_CHECKING:
    from torch import Tensor

    from catalog_gen.quality.invariance import Invariance
    from catalog_gen.style.engine import StyleEngine
    from catalog_gen.style.matte import Cutout
    from catalog_gen.style.prior import Prior
    from catalog_gen.style.template import Template
    from catalog_gen.style.template_config import Output

VERSION = 2  # of cutting out, placing and finishing; a higher one makes every restyled picture stale
OVERLAP = 128  # px of neighbouring tiles
MAX_WORKERS = 8  # a step's threads: each holds the pixels of a page
BATCH = {"cpu": 2, "mps": 8, "cuda": 16}


@dataclass(frozen=True)
class RestyleParts:
    """What restyles. `engines` are the template's engine, once a candidate, each with its `prepared` look.

    `prior` completes what is cut out; None: products are cut out by their colours alone.
    """

    template: Template
    outputs: tuple[Output, ...]  # those asked for
    engines: tuple[StyleEngine, ...]
    prepared: tuple[Any, ...]
    clip: ClipModel
    device: str
    batch: int  # pictures of one size that are stylised at once
    tile: int
    streams: int = 1  # batches in the engine at once
    workers: int = 1  # batches in each of the other steps at once
    prior: Prior | None = None

    def ledger(self) -> dict[str, Any]:
        """Return what the run's ledger row says of template and models."""
        return {
            "template": {"name": self.template.name, "hash": self.template.hash},
            "engine": {"name": self.engines[0].name, "hashes": [engine.hash for engine in self.engines]},
            "clip": {"name": self.clip.name, "hash": self.clip.hash},
            "matte": {"hash": self.prior.hash if self.prior else ""},
            "outputs": [output.name for output in self.outputs],
            "device": self.device,
        }

    def output_hash(self, output: Output) -> str:
        """Return the hash of all that decides the pixels of `output` but the product's own picture."""
        tiled = str(self.tile) if max(output.width, output.height) > self.tile else ""
        engines = [engine.hash for engine in self.engines]
        matte = self.prior.hash if self.prior else ""
        return input_hash(self.template.output_hash(output), *engines, tiled, matte, str(VERSION))

    def limits_hash(self) -> str:
        """Return the hash of what a picture is judged by."""
        return input_hash(self.template.config.limits.model_dump_json(), self.clip.hash)

    def pose(self, product: Product) -> str:
        """Return how the product's words pose it, or "" where they do not tell."""
        from catalog_gen.style.layout import pose_of

        return pose_of(_words(product)) or ""

    def cut_out(self, photo: Image.Image) -> Cutout:
        """Return the product without its ground. Raises RowError where none can be told from it."""
        from catalog_gen.style.matte import cut_out_with

        cutout = cut_out_with(photo, self.prior)
        if cutout.fault:
            raise RowError(f"the product cannot be cut out: {cutout.fault}")
        return cutout

    def place(self, output: Output, cutout: Cutout, product: Product) -> tuple[Pixels, Pixels]:
        """Return the product in its scene (H, W, 3) and its alpha (H, W), both uint8."""
        from catalog_gen.style.compose import place
        from catalog_gen.style.layout import pose_of

        scene = place(self.template, output, cutout, known=pose_of(_words(product)))
        return _bytes(scene.content), _bytes(scene.alpha)

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
        engine, prepared = self.engines[candidate], self.prepared[candidate]
        stylised = stylise_tiled(engine, content, product, prepared, self.tile, OVERLAP)
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

        return _bytes(overlay(self.template, output, _floats(picture)))

    def check(self, before: Pixels, after: Pixels, product: Pixels) -> tuple[Invariance, list[str]]:
        """Return how alike the product is before and after, and what of it is beyond the template's limits."""
        from catalog_gen.quality.invariance import Limits, check

        found = check(before, after, _floats(product), self.clip)
        limits = self.template.config.limits
        return found, found.faults(Limits(limits.delta_e, limits.delta_e_p95, limits.ssim, limits.clip))

    def encode(self, output: Output, picture: Pixels, xmp: bytes) -> bytes:
        """Return the output's file within its byte limit. Raises RowError where that cannot be."""
        from catalog_gen.style.outputs import encode_output

        return encode_output(output, picture, xmp)


def load_parts(settings: Settings, style: str, outputs: Sequence[str] = (), candidates: int = 1) -> RestyleParts:
    """Return the template named or at `style` with its engine and CLIP, ready to restyle.

    Raises TemplateError for a template with mistakes, UsageError for an output that it lacks or for candidates of an
    engine that can make only one, BundleError when the engine's weights or the matte's are missing.
    """
    from catalog_gen.pipeline.styles import own_templates
    from catalog_gen.style.engine import open_engine
    from catalog_gen.style.prior import load_prior
    from catalog_gen.style.template import load_template

    template = load_template(style, own_templates(settings))
    chosen = choose_outputs(template, outputs)
    device = choose_device(settings.restyle.device, "restyle.device")
    workers = min(MAX_WORKERS, cores())
    threads = one_thread_a_batch()  # on a GPU too: cutting out asks a network on the CPU, in every worker
    streams = min(workers, threads) if device == "cpu" else 1
    engine = open_engine(template.config, device)
    engines = [engine]
    if candidates > 1:
        if not getattr(engine, "stochastic", False):
            raise UsageError(
                f"the engine {engine.name} makes one picture, the same every time",
                where="--candidates",
                hint="Leave --candidates out, or let the template name the engine gatys.",
            )
        reopen: Any = type(engine)
        engines += [reopen.open(template.config, device, seed=seed) for seed in range(1, candidates)]
    look = template.look(device)
    return RestyleParts(
        template=template,
        outputs=chosen,
        engines=tuple(engines),
        prepared=tuple(one.prepare(look) for one in engines),
        clip=load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None),
        device=device,
        batch=settings.restyle.batch or BATCH[device],
        tile=settings.restyle.tile,
        streams=streams,
        workers=workers,
        prior=load_prior(settings.restyle.matte),
    )


def choose_outputs(template: Template, names: Sequence[str]) -> tuple[Output, ...]:
    """Return the template's outputs of these names, or all. Raises UsageError for a name that it lacks."""
    there = {output.name: output for output in template.config.output}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UsageError(
            f"the template {template.name} has no output {unknown[0]!r}",
            where="--outputs",
            hint=f"It has: {', '.join(there)}.",
        )
    return tuple(output for name, output in there.items() if not names or name in names)


def _bytes(values: npt.NDArray[np.float32]) -> Pixels:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _floats(pixels: Pixels) -> npt.NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(255)


def _words(product: Product) -> str:
    return f"{product.category} {product.title}"
