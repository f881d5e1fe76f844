"""Drawing with a trained generator: words and seeds in, pictures out, the same bits every time.

A network's result for one picture can differ in its last bits with the size of the batch, because kernels are chosen by
shape. So the network always runs at one shape, `chunk` pictures, padded at the tail: a picture then follows from its
words, its seed, and the drawer's device, dtype and chunk, which are recorded with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from catalog_gen.bundles import Bundle, load_bundle, load_into, read_weights
from catalog_gen.clip.text_identity import TextIdentity
from catalog_gen.cpu import has_fast_bf16
from catalog_gen.errors import BundleError, CatalogGenError, UsageError
from catalog_gen.gan.categories import LearntCategories, stated_categories
from catalog_gen.gan.config import GeneratorConfig
from catalog_gen.gan.generator import Generator
from catalog_gen.gan.latents import latents

logger = logging.getLogger(__name__)

CPU_CHUNK = 32  # a larger one is no faster there
CUDA_CHUNK = 1024  # the first that is tried; halved until it fits

Precision = Literal["auto", "fp32", "bf16"]


@dataclass
class Drawer:
    """A generator ready to draw. `hash` is the bundle's, the "model hash" of records.

    `chunk` is how many pictures go through the network at once; it can only fall, when memory runs out.
    """

    network: nn.Module
    hash: str
    name: str
    image_size: int
    z_dim: int
    text_dim: int
    device: torch.device
    precision: str
    chunk: int
    categories: LearntCategories | None = None  # what its training saw; None: the bundle does not say

    @property
    def settings(self) -> dict[str, str | int]:
        """What a picture's bits depend on beside the bundle, the words and the seed; recorded for its replay."""
        return {"device": self.device.type, "dtype": self.precision, "chunk": self.chunk}

    def draw(
        self,
        text: npt.NDArray[np.float32] | Tensor,
        seeds: npt.NDArray[np.int64],
        truncation: float | npt.NDArray[np.floating] = 1.0,
    ) -> Tensor:
        """Return pictures (B, 3, S, S) uint8 RGB on the CPU for text (B, text_dim) of unit length and seeds (B,).

        truncation: in [0, 1], one number or one a picture (B,); less draws nearer to the mean of the same words.

        A picture does not depend on its neighbours or on its place. When memory runs out, the whole call is drawn
        again with half the chunk, so that `chunk` afterwards is true of all of it.
        Raises UsageError when shapes disagree, a text is not finite or a truncation out of range, CatalogGenError when
        not even one picture fits.
        """
        words = torch.as_tensor(text, dtype=torch.float32).cpu()
        if words.shape != (len(seeds), self.text_dim):
            raise UsageError(
                f"text is {tuple(words.shape)}, and {(len(seeds), self.text_dim)} is needed for {len(seeds)} seeds"
            )
        if not bool(torch.isfinite(words).all()):
            raise UsageError("a text embedding is not finite")
        psi = _truncations(truncation, len(seeds))
        noise = torch.from_numpy(latents(np.asarray(seeds, dtype=np.int64), self.z_dim))
        while True:
            chunk = self.chunk
            try:
                return self._draw_all(noise, words, psi, chunk)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                failed = error.__class__.__name__
            # Outside the handler: the traceback would keep the failed call's tensors alive.
            self._halve(chunk, failed)

    def _halve(self, chunk: int, failed: str) -> None:
        if chunk == 1:
            raise CatalogGenError(
                f"not even one {self.image_size} px picture fits into the memory of {self.device} ({failed})",
                where=self.name,
                hint="Free memory, or draw on the CPU.",
            )
        self.chunk = min(self.chunk, chunk // 2)  # another thread may have halved it already
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        logger.warning("out of memory: drawing %d pictures at a time now", self.chunk)

    @torch.inference_mode()
    def _draw_all(self, noise: Tensor, words: Tensor, psi: Tensor, chunk: int) -> Tensor:
        drawn = torch.empty(len(noise), 3, self.image_size, self.image_size, dtype=torch.uint8)
        for start in range(0, len(noise), chunk):
            count = len(noise[start : start + chunk])
            z, text = (_pad(rows[start : start + chunk], chunk).to(self.device) for rows in (noise, words))
            truncation = torch.ones(chunk)  # of what fills up the tail: no reason to truncate the others
            truncation[:count] = psi[start : start + chunk]
            pictures = self.network(z, text, truncation).float()  # (chunk, 3, S, S) in [-1, 1]
            drawn[start : start + count] = pictures.add(1).mul(127.5).round().clamp(0, 255)[:count].to(torch.uint8)
        return drawn


def load_drawer(
    spec: str,
    clip: TextIdentity | None = None,
    device: str | torch.device = "cpu",
    precision: Precision = "auto",
    chunk: int | None = None,
) -> Drawer:
    """Return the drawer of the bundle `spec`, a folder or a shipped bundle's name.

    clip: what embeds the words; None leaves it unchecked. precision: "auto" takes bf16 where it
    is fast, fp32 elsewhere. chunk: None takes a fixed one on the CPU, and on a GPU the largest that fits; give a
    recorded one to replay pictures.
    Raises BundleError when the bundle is not a usable GAN, or was trained on another text tower than `clip`'s.
    """
    bundle = load_bundle(spec, "gan")
    config = _generator_config(bundle)
    if clip is not None and not clip.fits(bundle.config):
        trained_on = str(bundle.config.get("clip_hash", ""))
        raise BundleError(
            f"it was trained on the CLIP {trained_on[:12]} and the words come from {clip.clip_hash[:12]}",
            where=str(bundle.path),
            hint="Use that CLIP bundle, or train a GAN on this one.",
        )
    network = Generator(config)
    load_into(network, read_weights(bundle), bundle)
    target = torch.device(device)
    precision = _choose(precision, target)
    drawer = Drawer(
        network=prepare(network, target, precision),
        hash=bundle.hash,
        name=bundle.name,
        image_size=config.image_size,
        z_dim=config.z_dim,
        text_dim=config.text_dim,
        device=target,
        precision=precision,
        chunk=chunk or (CUDA_CHUNK if target.type == "cuda" else CPU_CHUNK),
        categories=stated_categories(bundle),
    )
    if chunk is None and target.type == "cuda":
        _probe(drawer)
    return drawer


def prepare(network: Generator, device: torch.device, precision: str) -> Generator:
    """Return `network` as it draws fastest: eval mode (norms folded), channels last, convolutions in bf16 when asked.

    The linear layers stay in fp32: they cost nothing, and they carry the words.
    """
    network = network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    if precision == "bf16":
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.to(torch.bfloat16)
    return network


def _generator_config(bundle: Bundle) -> GeneratorConfig:
    try:
        return GeneratorConfig.model_validate(bundle.config.get("generator"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"its generator config is wrong: {place} {first['msg']}", where=str(bundle.path)) from error


def _choose(precision: Precision, device: torch.device) -> Precision:
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if has_fast_bf16() else "fp32"


def _probe(drawer: Drawer) -> None:
    words = np.zeros((drawer.chunk, drawer.text_dim), np.float32)
    drawer.draw(words, np.arange(drawer.chunk, dtype=np.int64))


def _truncations(truncation: float | npt.NDArray[np.floating], count: int) -> Tensor:
    psi = np.asarray(truncation, dtype=np.float32)
    if psi.shape not in ((), (count,)):
        raise UsageError(f"truncation is {psi.shape}, and one number or {(count,)} is needed for {count} seeds")
    if not ((psi >= 0) & (psi <= 1)).all():  # not a number is neither
        raise UsageError("truncation lies in [0, 1]")
    return torch.from_numpy(np.broadcast_to(psi, (count,)).copy())


def _pad(rows: Tensor, count: int) -> Tensor:
    missing = count - len(rows)
    return rows if missing == 0 else torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "out of memory" in str(error).lower()  # the CPU's allocator
