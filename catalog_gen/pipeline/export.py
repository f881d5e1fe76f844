"""`catalog-gen export`: approved pictures to where the shop needs them, by the channel's rules.

In this order: read a page of products, look at every picture of theirs, choose by the channel's rules, write. The file
is durable before anything else changes; then a write-back, then the pictures' states. Killed at any point, the same
command does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from catalog_gen.catalog.database import Database
from catalog_gen.catalog.fields import nearest
from catalog_gen.catalog.model import Asset, Product, Where
from catalog_gen.catalog.publishing import approved_styles, exportable, publish
from catalog_gen.catalog.restyling import is_written_back
from catalog_gen.catalog.source import CatalogSource, open_source
from catalog_gen.config import Settings
from catalog_gen.errors import ConfigError, UsageError
from catalog_gen.export.channel import Channel
from catalog_gen.export.formats import ExportFile, check_suffix, open_channel, open_file
from catalog_gen.export.items import Held, HeldBack, Item, Picture
from catalog_gen.export.rules import LIMITS, Rules, choose, rules_of
from catalog_gen.pipeline.export_items import ItemReader
from catalog_gen.pipeline.export_summary import ExportSummary, Sent, SentList
from catalog_gen.pipeline.progress import ProgressStyle
from catalog_gen.pipeline.retry import Retry
from catalog_gen.storage import open_storage

PAGE = 200  # products looked at together
PUBLISHED_AT_ONCE = 500


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and where to.

    styles: of restyled pictures, only these. include_photos: also products with nothing but a photo of their own.
    check_addresses: open every public address too. publish: then mark the exported pictures published.
    """

    channel: str
    out: Path
    where: Where = ()
    skus: tuple[str, ...] = ()
    limit: int | None = None
    styles: tuple[str, ...] = ()
    include_photos: bool = False
    check_addresses: bool = False
    publish: bool = False
    dry_run: bool = False


def export(
    settings: Settings, database: Database, request: ExportRequest, style: ProgressStyle = "none"
) -> ExportSummary:
    """Write the export and the list of what it held back; return what came of it.

    Raises UsageError for an unknown channel or style and for a file that cannot be written, ConfigError where the
    channel needs more of the configuration, TemporaryFailure and Unavailable as database and storage do.
    """
    check_request(settings, database, request)
    channel = open_channel(request.channel, settings.export, request.out)
    storage = open_storage(settings.storage.url, settings.storage.options)
    summary = ExportSummary(request.channel, is_dry=request.dry_run)
    with closing(open_source(settings, database)) as source, SentList() as sent:
        with (
            ItemReader(settings, storage, check_addresses=request.check_addresses) as reader,
            open_file(request.channel, channel, settings.export, request.out, dry_run=request.dry_run) as file,
        ):
            work = _Work(channel, rules_of(request.channel, settings.export), file, summary, sent)
            left_out = set(request.skus)
            for product, item in _items(database, source, reader, request, style):
                work.take(product, item)
                left_out.discard(item.sku)
            work.hold(
                [Held(sku, "product", "unknown", "has no approved picture, or is no row") for sku in sorted(left_out)]
            )
            file.commit()
            summary.paths, summary.held_path = file.paths, file.held_path
        if not request.dry_run:
            _tell(settings, database, source, request, summary, sent)
    return summary


def check_request(settings: Settings, database: Database, request: ExportRequest) -> None:
    """Raise UsageError or ConfigError where the request cannot be met, before anything is read or written."""
    if request.channel not in LIMITS:
        hint = f"Channels: {', '.join(LIMITS)}."
        raise UsageError(f"there is no channel {request.channel!r}", where="export", hint=hint)
    check_suffix(request.channel, request.out)
    if LIMITS[request.channel].needs_url and not settings.export.public_url:
        raise ConfigError(
            f"{request.channel} opens pictures by public addresses, and none is configured",
            where="export.public_url",
            hint=f"Set it to the https address under which {settings.storage.url} can be opened.",
        )
    if request.channel == "shop":
        if not settings.catalog.writeback:
            raise UsageError("this catalogue is not written to", hint="Set writeback = true in [catalog].")
        if request.include_photos:
            raise UsageError("a write-back is for rows without an image", where="--include-photos")
    known = approved_styles(database) if request.styles else []
    for name in request.styles:
        if name not in known:
            raise UsageError(f"no approved picture has the style {name!r}", where="--style", hint=nearest(name, known))


@dataclass
class _Work:
    """What happens to one product: its pictures are chosen, its rows written, what is held back listed."""

    channel: Channel
    rules: Rules
    file: ExportFile
    summary: ExportSummary
    sent: SentList

    def take(self, product: Product, item: Item) -> None:
        choice = choose(item, self.rules)
        held = list(choice.held)
        if choice.pictures:
            try:
                if self.summary.channel == "shop":
                    _check_shop_row(product, choice.pictures[0])
                rows, values = self.channel.rows(item, choice.pictures)
            except HeldBack as error:
                held.insert(0, Held(item.sku, "product", error.rule, error.what))
            else:
                held += values
                self.file.add(rows)
                self._count(product, item, choice.pictures)
        self.hold(held)

    def hold(self, held: list[Held]) -> None:
        self.file.hold(held)
        self.summary.add_held(held)

    def _count(self, product: Product, item: Item, pictures: list[Picture]) -> None:
        self.summary.products += 1
        self.summary.pictures += len(pictures)
        assets = [(picture.asset_id, picture.version) for picture in pictures if picture.asset_id]
        url = "" if product.image else pictures[0].url or pictures[0].uri
        self.sent.add(Sent(item.sku, url, assets))


def _check_shop_row(product: Product, picture: Picture) -> None:
    if product.image and product.image.rpartition("/")[2] != picture.uri.rpartition("/")[2]:
        raise HeldBack("taken", "the shop's row has another picture of ours; clear it there, and export again")


def _items(
    database: Database, source: CatalogSource, reader: ItemReader, request: ExportRequest, style: ProgressStyle
) -> Iterator[tuple[Product, Item]]:
    """Yield the products in scope, in the catalogue's order, a page in memory at a time."""
    left = request.limit
    total = source.count(request.where, lacking_image=False) if style == "bar" and not request.skus else None
    with tqdm(total=total, unit="product", disable=style != "bar") as bar:
        for page in source.pages(request.where, request.skus, PAGE, with_image=None):
            assets = exportable(database, [product.sku for product in page], request.styles)
            chosen = [product for product in page if _is_in_scope(product, assets.get(product.sku, []), request)]
            chosen = chosen[:left]
            yield from zip(chosen, reader.items(chosen, assets), strict=True)
            bar.update(len(page))
            if left is not None:
                left -= len(chosen)
                if left <= 0:
                    return


def _is_in_scope(product: Product, assets: list[Asset], request: ExportRequest) -> bool:
    if request.channel == "shop" and product.image:
        return any(is_written_back(product.image, asset) for asset in assets)
    return bool(assets) or (request.include_photos and bool(product.image))


def _tell(
    settings: Settings,
    database: Database,
    source: CatalogSource,
    request: ExportRequest,
    summary: ExportSummary,
    sent: SentList,
) -> None:
    """After the file: the shop's own table, then the pictures' states. Doing it again adds nothing."""
    retry = Retry(settings.job.retries, settings.job.retry_seconds)
    waiting: list[tuple[str, int]] = []
    for each in sent:
        if request.channel == "shop" and each.url:
            if not retry("writing to the shop's table", partial(source.write_image, each.sku, each.url)):
                summary.taken += 1
                continue
            summary.written += 1
        if request.publish:
            waiting += each.assets
            if len(waiting) >= PUBLISHED_AT_ONCE:
                _publish(database, retry, request.channel, waiting, summary)
                waiting = []
    if waiting:
        _publish(database, retry, request.channel, waiting, summary)


def _publish(
    database: Database, retry: Retry, channel: str, pictures: list[tuple[str, int]], summary: ExportSummary
) -> None:
    result = retry("publishing", lambda: publish(database, pictures, channel))
    summary.published += result.published
    summary.changed += len(result.changed)
