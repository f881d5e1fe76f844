"""Where products come from: the imported rows, or the shop's own table read in place.

Both are read by keyset: a page begins where the last one ended, so a pass over the catalogue holds one page in memory
and no transaction open between pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from catalog_gen.catalog import attached, tables
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.fields import Fields, imported_fields
from catalog_gen.catalog.model import Product, Where
from catalog_gen.catalog.statements import CHUNK, chunks
from catalog_gen.config import Settings
from catalog_gen.errors import UsageError


class CatalogSource(Protocol):
    """The catalogue's products, by sku. Methods raise what `Database.read` raises; one instance serves all threads."""

    def pages(
        self,
        where: Where = (),
        skus: Sequence[str] = (),
        page_size: int = 1_000,
        *,
        with_image: bool | None = False,
    ) -> Iterator[list[Product]]:
        """Yield the products without an image of their own (or, `with_image`, those that have one), page by page.

        `with_image=None` yields both, in one order.
        They come in the table's own sku order, `page_size` at most a page.
        `skus` (if any) narrows to these; `where` to rows whose fields have these values. A row whose sku is empty or
        was met before is left out. Raises UsageError, with the nearest name, for a field that the catalogue lacks.
        """

    def fetch(self, skus: Sequence[str]) -> dict[str, Product]:
        """Return the products with these skus, with or without an image; unknown skus are absent."""

    def image_hashes(self, skus: Sequence[str]) -> dict[str, str]:
        """Return the SHA-256 (hex) of the products' image files, where an import has read them."""

    def count(self, where: Where = (), *, lacking_image: bool = True) -> int:
        """Return how many rows match `where` and, with `lacking_image`, have no image of their own."""

    def unusable_rows(self) -> int:
        """Return how many rows have an empty sku or repeat another row's: rows that no job can address."""

    def write_image(self, sku: str, url: str) -> bool:
        """Set the image of a row that still lacks one; return whether there was one to set.

        Raises UsageError unless the catalogue is attached with `writeback`.
        """

    def close(self) -> None:
        """Close what the source opened for itself."""


def open_source(settings: Settings, database: Database) -> CatalogSource:
    """Return the attached table if `[catalog]` names one, else the imported rows.

    Raises ConfigError (with the nearest name) for a table or column that does not exist, and Unavailable when the
    shop's database cannot be reached.
    """
    if not settings.catalog.table:
        return TableSource(database, imported_fields())
    shop, fields = attached.open_shop(settings.catalog, database)
    return TableSource(
        shop, fields, is_imported=False, writeback=settings.catalog.writeback, owned=shop is not database
    )


class TableSource:
    """A catalogue that is one table; `fields` says which column is what."""

    def __init__(
        self,
        database: Database,
        fields: Fields,
        *,
        is_imported: bool = True,
        writeback: bool = False,
        owned: bool = False,
    ) -> None:
        self.database = database
        self.fields = fields
        self.is_imported = is_imported
        self._writeback = writeback
        self._owned = owned

    def pages(
        self,
        where: Where = (),
        skus: Sequence[str] = (),
        page_size: int = 1_000,
        *,
        with_image: bool | None = False,
    ) -> Iterator[list[Product]]:
        conditions = self._conditions(where)
        if with_image is not None:
            lacks = self.fields.lacks_image()
            conditions.insert(0, sa.not_(lacks) if with_image else lacks)
        if not skus:
            yield from self._keyset(conditions, page_size)
            return
        for some in chunks(list(dict.fromkeys(skus)), min(page_size, CHUNK)):
            yield from self._keyset([*conditions, self.fields.has_sku_in(some)], page_size)

    def _keyset(self, conditions: Sequence[sa.ColumnElement[bool]], page_size: int) -> Iterator[list[Product]]:
        """Pages by `sku >= last`, leaving out what the last page showed already.

        Not `sku > last`: under a collation that takes "a1" and "A1" for equal, or in a table that repeats a sku, a
        page's end may fall between rows that the database cannot tell apart, and the rest of them would be lost.
        """
        sku = self.fields.sku
        query = sa.select(*self.fields.columns()).where(*conditions, self.fields.has_sku()).order_by(sku)
        last: Any = None
        shown: set[str] = set()
        size = page_size
        while True:
            step = query if last is None else query.where(sku >= self.fields.bound(last))
            limit = size if last is None else size + 1
            with self.database.read() as connection:
                rows = connection.execute(step.limit(limit)).all()
            skus = [self.fields.sku_text(row) for row in rows]
            fresh = {text: row for text, row in zip(reversed(skus), reversed(rows), strict=True) if text not in shown}
            if fresh:
                yield [self.fields.product(row) for row in reversed(fresh.values())]
            if len(rows) < limit:
                return
            if not fresh:
                size *= 2  # more equal skus than a page holds: look further, from the same place
                continue
            last, shown, size = rows[-1][0], set(skus), page_size

    def fetch(self, skus: Sequence[str]) -> dict[str, Product]:
        found: dict[str, Product] = {}
        wanted = set(skus)
        for some in chunks(list(wanted)):
            query = sa.select(*self.fields.columns()).where(self.fields.has_sku_in(some))
            with self.database.read() as connection:
                for row in connection.execute(query):
                    sku = self.fields.sku_text(row)
                    if sku in wanted:
                        found.setdefault(sku, self.fields.product(row))
        return found

    def image_hashes(self, skus: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        columns = tables.product.c
        for some in chunks(list(skus)) if self.is_imported else ():
            query = sa.select(columns.sku, columns.image_sha256).where(
                columns.sku.in_(some), columns.image_sha256.is_not(None)
            )
            with self.database.read() as connection:
                found.update((row[0], row[1]) for row in connection.execute(query))
        return found

    def count(self, where: Where = (), *, lacking_image: bool = True) -> int:
        conditions = self._conditions(where)
        if lacking_image:
            conditions.append(self.fields.lacks_image())
        query = sa.select(sa.func.count()).select_from(self.fields.table).where(*conditions)
        return self._number(query)

    def unusable_rows(self) -> int:
        if self.is_imported:
            return 0  # the primary key and the import see to that
        sku, table = self.fields.sku, self.fields.table
        usable = self.fields.has_sku()
        all_rows = sa.select(sa.func.count()).select_from(table).scalar_subquery()
        # By bytes, as the pages tell skus apart, and not by the column's own idea of equality.
        exact = sa.collate(sa.cast(sku, sa.Text), "C" if self.database.is_postgres else "BINARY")
        distinct = sa.select(exact.label("sku")).where(usable).distinct().subquery()
        query = sa.select(all_rows - sa.select(sa.func.count()).select_from(distinct).scalar_subquery())
        return self._number(query)

    def write_image(self, sku: str, url: str) -> bool:
        if not self._writeback or self.fields.image is None:
            raise UsageError("this catalogue is not written to", hint="Set writeback = true in [catalog].")
        change = (
            sa.update(self.fields.table)
            .where(self.fields.has_sku_in([sku]), self.fields.lacks_image())
            .values({self.fields.image.name: url})
        )
        with self.database.transaction() as connection:
            return connection.execute(change).rowcount > 0

    def close(self) -> None:
        if self._owned:
            self.database.dispose()

    def _number(self, query: sa.Select[Any]) -> int:
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _conditions(self, where: Where) -> list[sa.ColumnElement[bool]]:
        if not where:
            return []
        with self.database.read() as connection:
            return self.fields.conditions(connection, where)
