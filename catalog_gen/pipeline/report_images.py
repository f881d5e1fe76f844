"""The images of a night's page: its pictures, what they were made from, and their nearest products; each once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from catalog_gen.catalog import night
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import Asset, PictureSource
from catalog_gen.catalog.statements import chunks
from catalog_gen.config import Settings
from catalog_gen.errors import CatalogGenError, PhotoError, RowError, TransientError
from catalog_gen.pipeline.restyle_source import SourceReader
from catalog_gen.pipeline.retry import Retry
from catalog_gen.report.night_page import image_key
from catalog_gen.report.night_rows import Picture
from catalog_gen.report.thumbnails import Thumbnails
from catalog_gen.storage import Storage

log = logging.getLogger(__name__)

AT_ONCE = 16  # pictures that are read together, and held in memory

Read = Callable[[], bytes]


class PageImages:
    """What a page has to show of its pictures. before: what each was made from, by id, as (image key, words).
    beside: the image keys of nearest products, by picture id. unreadable: pictures that could not be read so far.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        sample: Sequence[Asset],
        pictures: Sequence[Picture],
    ) -> None:
        self.before: dict[str, tuple[str, str]] = {}
        self.beside: dict[str, str] = {}
        self.unreadable = 0
        self._pixels = settings.report.thumbnail
        self._storage, self._photos = storage, SourceReader(settings, storage)
        self._retry = Retry(settings.job.retries, settings.job.retry_seconds)
        self._own = {image_key(asset.sha256) for asset in sample}
        self._wanted: dict[str, tuple[str, Read]] = {}  # image key: whose it is, and how it is read
        for asset in sample:
            self._want_asset(asset)
        self._want_sources(database, sample)
        self._want_nearest(database, pictures)

    def read(self) -> Iterator[tuple[str, str]]:
        """Yield (image key, data URI) for each image, once; "!" and the reason for one that cannot be shown."""
        thumbnails = Thumbnails(self._pixels, len(self._wanted))
        wanted = list(self._wanted.items())
        with ThreadPoolExecutor(AT_ONCE // 2, thread_name_prefix="report-read") as pool:
            for some in chunks(wanted, AT_ONCE):
                for (key, (whose, _)), data in zip(
                    some, pool.map(_attempt, [read for _, (_, read) in some]), strict=True
                ):
                    yield key, self._thumbnail(thumbnails, key, whose, data)

    def _thumbnail(self, thumbnails: Thumbnails, key: str, whose: str, data: bytes | CatalogGenError) -> str:
        try:
            if isinstance(data, CatalogGenError):
                raise data
            return thumbnails.make(data)
        except (RowError, PhotoError, TransientError) as error:
            log.warning("%s cannot be shown: %s", whose, error)
            self.unreadable += key in self._own
            return f"!{error.what}"

    def _want_asset(self, asset: Asset) -> str:
        key = image_key(asset.sha256)
        self._wanted.setdefault(
            key, (asset.sku, lambda: self._retry("reading a picture", lambda: self._storage.get(asset.uri)))
        )
        return key

    def _want_sources(self, database: Database, sample: Sequence[Asset]) -> None:
        sources = night.assets_by_id(database, [asset.source_asset_id for asset in sample if asset.source_asset_id])
        for asset in sample:
            uri, sha256 = str(asset.settings.get("source_uri", "")), str(asset.settings.get("source_sha256", ""))
            if asset.source_asset_id in sources:
                self.before[asset.id] = self._want_asset(sources[asset.source_asset_id]), "the generated picture"
            elif asset.kind == "restyled" and uri and sha256:
                photo = PictureSource(asset.sku, uri, sha256, sha256=sha256)
                key = image_key(sha256)
                self._wanted.setdefault(key, (f"the photo of {asset.sku}", partial(self._photo, photo)))
                self.before[asset.id] = key, "the shop's photo"

    def _want_nearest(self, database: Database, pictures: Sequence[Picture]) -> None:
        """The other one of each near-duplicate; and of those nearest in shape the ones that are here anyway."""
        alike = {p.id: p.nearest for p in pictures if p.nearest and p.nearest.asset}
        found = night.assets_by_id(database, [near.asset for near in alike.values()])
        for id, near in alike.items():
            other = found.get(near.asset)
            if other is not None and (near.by == "duplicate" or image_key(other.sha256) in self._wanted):
                self.beside[id] = self._want_asset(other)

    def _photo(self, photo: PictureSource) -> bytes:
        return self._photos.read(photo)[0]


def _attempt(read: Read) -> bytes | CatalogGenError:
    """Return the bytes, or the error that one picture alone has; others end the report."""
    try:
        return read()
    except (RowError, PhotoError, TransientError) as error:
        return error
