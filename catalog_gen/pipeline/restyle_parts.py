"""A restyling run's template, engine and models, and the steps of a picture that they make.

`catalog_gen.style` brings torch; it is imported where it is used, so that a command's help stays light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from catalog_gen.catalog.model import Product
from catalog_gen.catalog.restyling import input_hash
from catalog_gen.clip.model import ClipModel, load_clip
from catalog_gen.config import Settings
from catalog_gen.errors import UsageError
from catalog_gen.pipeline.models import cores, one_thread_a_batch
from catalog_gen.pipeline.restyle_work import Pixels
from catalog_gen.pipeline.styler import Styler, as_floats, open_styler

if TYPE_CHECKING:
    from catalog_gen.quality.invariance import Invariance, Limits
    from catalog_gen.style.template import Template
    from catalog_gen.style.template_config import Output

VERSION = 2  # of cutting out, placing and finishing; a higher one makes every restyled picture stale
MAX_WORKERS = 8  # a step's threads: each holds the pixels of a page


@dataclass(frozen=True, kw_only=True)
class RestyleParts(Styler):
    """What restyles in a run: how pictures are made, and what judges them."""

    outputs: tuple[Output, ...]  # those asked for
    clip: ClipModel
    streams: int = 1  # batches in the engine at once
    workers: int = 1  # batches in each of the other steps at once

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

    def detail(self, product: Product) -> str:
        """Return what the product's words decide of its pictures: how it is posed, and whether it is clear."""
        from catalog_gen.style.layout import pose_of

        words = words_of(product)
        return (pose_of(words) or "") + (" clear" if self.lets_through(words) else "")

    def check(self, before: Pixels, after: Pixels, product: Pixels) -> tuple[Invariance, list[str]]:
        """Return how alike the product is before and after, and what of it is beyond the template's limits."""
        from catalog_gen.quality.invariance import check

        found = check(before, after, as_floats(product), self.clip)
        return found, found.faults(self._limits())

    def nearness(self, found: Invariance) -> float:
        """Return how near a picture is to the template's limits, from 0 to 1."""
        return found.nearness(self._limits())

    def _limits(self) -> Limits:
        from catalog_gen.quality.invariance import Limits

        limits = self.template.config.limits
        return Limits(limits.delta_e, limits.delta_e_p95, limits.ssim, limits.clip)

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
    from catalog_gen.style.template import load_template

    template = load_template(style, own_templates(settings))
    chosen = choose_outputs(template, outputs)
    styler = open_styler(settings, template, candidates)
    device = styler.device
    workers = min(MAX_WORKERS, cores())
    threads = one_thread_a_batch()  # on a GPU too: cutting out asks a network on the CPU, in every worker
    streams = min(workers, threads) if device == "cpu" else 1
    return RestyleParts(
        **{field.name: getattr(styler, field.name) for field in fields(styler)},
        outputs=chosen,
        clip=load_clip(settings.clip.model, device, pretrained=settings.clip.pretrained or None),
        streams=streams,
        workers=workers,
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


def words_of(product: Product) -> str:
    """Return the words that may say how the product is posed."""
    return f"{product.category} {product.title}"
