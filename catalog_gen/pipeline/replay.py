"""`catalog-gen replay SKU`: a stored picture drawn again from its row alone, and compared byte for byte."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from catalog_gen import __version__
from catalog_gen.catalog.assets import live_asset
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset
from catalog_gen.config import Settings
from catalog_gen.encode import ImageFormat, encode_image
from catalog_gen.errors import EXIT_OK, EXIT_SOME_FAILED, RowError, Unavailable, UsageError
from catalog_gen.pipeline.models import Models, load_models
from catalog_gen.pipeline.stages import upscaler_named
from catalog_gen.provenance import Provenance, build_xmp
from catalog_gen.storage import open_storage


@dataclass(frozen=True)
class Replay:
    """A redrawn picture beside the stored one. `pixel_difference`: the largest, of 255; None if unknown."""

    asset: Asset
    data: bytes
    sha256: str
    pixel_difference: int | None
    note: str

    @property
    def exit_code(self) -> int:
        return EXIT_OK if self.sha256 == self.asset.sha256 else EXIT_SOME_FAILED

    def describe(self) -> str:
        if self.exit_code == EXIT_OK:
            return f"{self.asset.sku}: the same picture, sha256 {self.sha256}"
        return f"{self.asset.sku}: another file ({self.note})\n  stored {self.asset.sha256}\n  redrawn {self.sha256}"


def replay(settings: Settings, database: Database, sku: str) -> Replay:
    """Draw the live picture of `sku` again with the models, seed and settings that its row names.

    Raises UsageError when the product has no live picture, Unavailable when the configured models are not those that
    drew it.
    """
    asset = live_asset(database, sku)
    if asset is None:
        raise UsageError(f"{sku} has no live generated picture", where=database.where)
    models = load_models(_as_recorded(settings, asset))
    upscaled = asset.settings.get("upscale")
    text = models.clip.text
    words_of = asset.clip_hash if asset.clip_hash == text.text_of else text.clip_hash  # the same embeddings of words
    for what, key, recorded, found in (
        ("CLIP", "clip", asset.clip_hash, words_of),
        ("generator", "gan", asset.gan_hash, models.drawer.hash),
        ("upscaler", "upscale", upscaled["hash"] if upscaled else "", models.upscaler.hash if models.upscaler else ""),
    ):
        if recorded != found:
            raise Unavailable(
                f"the picture was made with the {what} {recorded[:12]}, and {found[:12] or 'none'} is configured",
                where=sku,
                hint=f"Name that bundle in {key}.model.",
            )
    picture = _draw(asset, models)
    data = encode_image(
        picture,
        cast(ImageFormat, asset.format),
        int(asset.settings["quality"]),
        build_xmp(provenance_of(asset, models)),
    )
    sha256 = hashlib.sha256(data).hexdigest()
    difference, note = (0, "") if sha256 == asset.sha256 else _compare(settings, asset, data)
    return Replay(asset, data, sha256, difference, note)


def provenance_of(asset: Asset, models: Models) -> Provenance:
    """Return what the picture of this row says of itself."""
    return Provenance(
        sku=asset.sku,
        prompt=asset.prompt,
        gan=f"{models.drawer.name}@{models.drawer.hash}",
        clip=f"{models.clip.name}@{asset.clip_hash}",
        seed=asset.seed,
        attempt=asset.attempt,
        candidates=asset.candidates,
        candidate=int(asset.settings["candidate"]),
        truncation=_truncation(asset),
        upscaler=upscaler_named(models),
    )


def _as_recorded(settings: Settings, asset: Asset) -> Settings:
    recorded = {
        "device": asset.settings["device"],
        "precision": asset.settings["dtype"],
        "batch": asset.settings["chunk"],
    }
    update = {"gan": settings.gan.model_copy(update=recorded)}
    upscaled = asset.settings.get("upscale")
    enlarging = {"model": ""}  # a row that says nothing of it was delivered as drawn
    if upscaled:
        enlarging = {"size": upscaled["size"], "device": upscaled["device"], "precision": upscaled["dtype"]}
        enlarging["batch"] = upscaled["chunk"]
    return settings.model_copy(update={**update, "upscale": settings.upscale.model_copy(update=enlarging)})


def _draw(asset: Asset, models: Models) -> npt.NDArray[np.uint8]:
    """Return the picture (S, S, 3)."""
    text = models.clip.embed_texts([asset.prompt])
    drawn = models.drawer.draw(text, np.array([asset.seed], dtype=np.int64), _truncation(asset))
    picture = np.ascontiguousarray(drawn[0].numpy().transpose(1, 2, 0))
    return models.upscaler.enlarge(picture[None])[0] if models.upscaler else picture


def _truncation(asset: Asset) -> float:
    return float(asset.settings.get("truncation", 1.0))  # a row without one was drawn before there was truncation


def _compare(settings: Settings, asset: Asset, data: bytes) -> tuple[int | None, str]:
    """Return (largest pixel difference of 255 or None, what differs in words)."""
    software = asset.settings.get("software")
    if software != __version__:
        return None, f"drawn by version {software}, this is {__version__}, and the file names it"
    try:
        stored = open_storage(settings.storage.url, settings.storage.options).get(asset.uri)
    except RowError as error:
        return None, f"the stored file cannot be compared: {error}"
    before, after = (np.asarray(Image.open(io.BytesIO(some)).convert("RGB"), np.int16) for some in (stored, data))
    if before.shape != after.shape:
        return None, f"the stored picture has another size: {before.shape}"
    largest = int(np.abs(before - after).max())
    return largest, f"pixels differ by at most {largest} of 255"
