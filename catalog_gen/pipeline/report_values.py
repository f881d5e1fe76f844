"""The catalogue's rows and the ledger's runs as the report's plain values: models named, nearest products found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from catalog_gen.catalog import night
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset, Product, RunRecord
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.quality.nearest import Shapes
from catalog_gen.report.night_facts import Ledger
from catalog_gen.report.night_rows import Nearest, Picture, Row, duplicate_of

NEAREST_AMONG = 50_000  # pictures of the run that are looked at for the nearest one, a fair sample
SHOWN_HASH = 8  # digits


class Describer:
    """Makes a run's rows and pictures into the report's values."""

    def __init__(self, database: Database, source: CatalogSource, run: RunRecord) -> None:
        self._database, self._source, self._run = database, source, run
        known = night.hashes_of(database, run.id, NEAREST_AMONG)
        self._shapes = Shapes([id for id, _, _ in known], [phash for _, _, phash in known])
        self._sku_of = {id: sku for id, sku, _ in known}
        self._names = model_names([run])

    def rows(self, page: Sequence[night.NightRow]) -> Iterator[Row]:
        """Yield the rows of a page."""
        nearest = self._nearest([asset for row in page for asset in row.assets])
        for row in page:
            product, item = row.product, row.item
            pictures = tuple(
                describe_picture(asset, product, self._names, nearest.get(asset.id)) for asset in row.assets
            )
            title, category = (product.title, product.category) if product else ("", "")
            category = category or next((picture.category for picture in pictures), "")
            yield Row(item.sku, title, category, item.outcome or "", item.reason, pictures)

    def pictures(self, assets: Sequence[Asset]) -> list[Picture]:
        """Return pictures without their rows, in the order given; nearest ones are known by their assets."""
        products = self._source.fetch([asset.sku for asset in assets])
        nearest = self._nearest(assets)
        alike = [found.sku for found in nearest.values() if found.by == "duplicate"]
        ids = {sku: asset.id for sku, asset in night.live_generated(self._database, alike).items()}
        for id, found in nearest.items():
            if found.by == "duplicate":
                nearest[id] = Nearest(found.sku, found.by, asset=ids.get(found.sku, ""))
        return [
            describe_picture(asset, products.get(asset.sku), self._names, nearest.get(asset.id)) for asset in assets
        ]

    def _nearest(self, assets: Sequence[Asset]) -> dict[str, Nearest]:
        found = {asset.id: Nearest(sku, "duplicate") for asset in assets if (sku := duplicate_of(asset.reason))}
        others = [asset for asset in assets if asset.phash and asset.id not in found]
        near = self._shapes.nearest([asset.id for asset in others], [asset.phash for asset in others])
        for asset, one in zip(others, near, strict=True):
            if one is not None:
                id, bits = one
                found[asset.id] = Nearest(self._sku_of[id], "shape", bits, id)
        return found


def describe_picture(
    asset: Asset, product: Product | None, names: Mapping[str, str], nearest: Nearest | None = None
) -> Picture:
    """Return an asset as a picture of the report; `names` has its models' names by hash."""
    said = asset.settings
    return Picture(
        id=asset.id,
        sku=asset.sku,
        title=product.title if product else "",
        category=product.category if product else asset.category,
        kind=asset.kind,
        style=asset.style,
        variant=asset.variant,
        state=asset.state,
        live=asset.live,
        version=asset.version,
        reason=asset.reason,
        doubt=asset.doubt,
        prompt=asset.prompt,
        scores=asset.scores,
        seed=asset.seed,
        attempt=asset.attempt,
        candidates=asset.candidates,
        uri=asset.uri,
        sha256=asset.sha256,
        bytes=asset.bytes,
        width=asset.width,
        height=asset.height,
        format=asset.format,
        created_at=asset.created_at.isoformat(timespec="seconds") if asset.created_at else "",
        made_with=tuple(_made_with(asset, names)),
        settings=said,
        source_asset=asset.source_asset_id or "",
        source_uri=str(said.get("source_uri", "")),
        source_sha256=str(said.get("source_sha256", "")),
        nearest=nearest,
    )


def _made_with(asset: Asset, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    said = asset.settings
    if asset.kind == "restyled":
        yield "template", _named(asset.style, str(said.get("template_hash", "")))
        yield "engine", _named(str(said.get("engine", "")), str(said.get("engine_hash", "")))
    if asset.gan_hash:
        yield "generator", _named(names.get(asset.gan_hash, ""), asset.gan_hash)
    if enlarged := said.get("upscale"):
        yield "upscaler", f"{_named(str(enlarged['name']), str(enlarged['hash']))}, {enlarged['size']} px"
    yield "CLIP", _named(names.get(asset.clip_hash, ""), asset.clip_hash)
    if "truncation" in said:
        yield "truncation", f"{said['truncation']:g}"
    if "device" in said:
        yield "drawn on", " ".join(str(said[name]) for name in ("device", "dtype") if name in said)


def model_names(runs: Iterable[RunRecord]) -> dict[str, str]:
    """Return the names of the models that these runs worked with, by hash."""
    return {
        entry["hash"]: entry["name"]
        for run in runs
        for entry in run.models.values()
        if isinstance(entry, dict) and "hash" in entry and "name" in entry
    }


def ledger_of(run: RunRecord) -> Ledger:
    """Return a run of the ledger as the report's value."""
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    threshold = run.models.get("threshold")
    return Ledger(
        id=run.id,
        job=run.job,
        state=run.state,
        started_at=run.started_at.isoformat(timespec="seconds"),
        finished_at=run.finished_at.isoformat(timespec="seconds") if run.finished_at else None,
        seconds=seconds,
        host=run.host,
        user=run.user,
        version=run.version,
        exit_code=run.exit_code,
        message=run.message,
        images_per_second=run.images_per_second,
        counts=run.counts,
        timings={name: float(spent) for name, spent in run.timings.items() if isinstance(spent, int | float)},
        models=[*_models(run.models)],
        request=[*_request(run.config)],
        threshold=float(threshold) if isinstance(threshold, int | float) else None,
    )


def _models(models: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for label, entry in models.items():
        if isinstance(entry, dict) and "name" in entry:
            hashes = entry.get("hashes") or [entry.get("hash", "")]
            yield label, _named(str(entry["name"]), str(hashes[0]))


def _request(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    request = config.get("request")
    for name, value in request.items() if isinstance(request, dict) else ():
        if value in (None, False, "", [], {}):
            continue
        if name == "where":
            value = ", ".join("=".join(str(part) for part in pair) for pair in value)
        elif isinstance(value, list):
            value = ", ".join(str(one) for one in value) if len(value) <= 5 else f"{len(value):,} given"
        yield name.replace("_", " "), "yes" if value is True else str(value)


def _named(name: str, digest: str) -> str:
    return f"{name} {digest[:SHOWN_HASH]}".strip()
