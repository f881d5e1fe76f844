"""Which column of a catalogue's table is what, and the conditions and products that follow."""

from __future__ import annotations

import difflib
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

from catalog_gen.catalog import tables
from catalog_gen.catalog.model import Product, Where
from catalog_gen.errors import UsageError

BLANKS = " \t\r\n\v\f\u00a0"
Value: TypeAlias = sa.ColumnElement[Any]
SkuKind: TypeAlias = Literal["text", "padded", "integer", "uuid", "untyped", "other"]


class AsIs(UserDefinedType[Any]):
    """A value as the driver gives and takes it. SQLAlchemy's conversions fail on what shops keep: SQLite's `DATE`
    columns full of free text, enum values added since; and a key must go back to the database exactly as it came."""

    cache_ok = True


def as_is(column: sa.Column[Any]) -> Value:
    """Return `column` without conversions."""
    value: Value = sa.type_coerce(column, AsIs())
    return value


@dataclass(frozen=True)
class Fields:
    """The columns of one table. `attributes` is one JSON column (imported) or a column for each (attached).

    `sku_kind` says how the sku column's values and the skus as text correspond.
    """

    table: sa.Table
    sku: Value
    title: Value
    category: Value | None
    image: sa.Column[Any] | None
    attributes: sa.Column[Any] | tuple[sa.Column[Any], ...]
    sku_kind: SkuKind = "text"

    def columns(self) -> list[Value]:
        """Return what to select, in the order that `product` reads."""
        category = sa.null() if self.category is None else self.category
        image = sa.null() if self.image is None else as_is(self.image)
        if isinstance(self.attributes, tuple):
            attributes = [as_is(column) for column in self.attributes]
        else:
            attributes = [self.attributes]
        return [self.sku, self.title, category.label("cg_category"), image.label("cg_image"), *attributes]

    def sku_text(self, row: Sequence[Any]) -> str:
        """Return the sku of a row of `columns()`."""
        text = str(row[0])
        return text.rstrip(" ") if self.sku_kind == "padded" else text

    def product(self, row: Sequence[Any]) -> Product:
        """Return the product that a row of `columns()` tells of."""
        _, title, category, image, *values = row
        if isinstance(self.attributes, tuple):
            names = [column.name for column in self.attributes]
            pairs = zip(names, (_text(value) for value in values), strict=True)
            attributes = {name: text for name, text in pairs if text.strip(BLANKS)}
        else:
            attributes = dict(values[0] or {})
        picture = _text(image).strip(BLANKS)
        return Product(self.sku_text(row), _text(title), _text(category), attributes, picture or None)

    def lacks_image(self) -> sa.ColumnElement[bool]:
        """Rows whose image is NULL, empty or blank; all rows where no column holds images."""
        if self.image is None:
            return sa.true()
        return sa.or_(self.image.is_(None), _is_blank(self.image))

    def has_sku(self) -> sa.ColumnElement[bool]:
        """Rows whose sku is neither NULL nor blank."""
        return sa.and_(self.sku.is_not(None), sa.not_(_is_blank(self.sku)))

    def bound(self, value: Any) -> Value:
        """Return a sku that was read from the table as a parameter of the column's own type."""
        return sa.bindparam(None, value, type_=self.sku.type)

    def has_sku_in(self, skus: Sequence[str]) -> sa.ColumnElement[bool]:
        """Rows with one of these skus. What the column cannot hold ("A-1" among integers) matches nothing."""
        if self.sku_kind == "other":
            return sa.cast(self.sku, sa.Text).in_(skus)
        return self.sku.in_([key for sku in skus for key in self._keys(sku)])

    def _keys(self, sku: str) -> list[Any]:
        if self.sku_kind in ("text", "padded"):
            return [sku]
        if self.sku_kind == "uuid":
            try:
                key = uuid.UUID(sku)
            except ValueError:
                return []
            return [key] if str(key) == sku else []
        digits = sku.removeprefix("-")
        # Only what prints back the same: "007" is not row 7, and int() takes Arabic digits and underscores too.
        canonical = digits.isascii() and digits.isdigit() and str(int(sku)) == sku and abs(int(sku)) < 2**63
        numbers: list[Any] = [int(sku)] if canonical else []
        return numbers if self.sku_kind == "integer" else [*numbers, sku]

    def conditions(self, connection: sa.Connection, where: Where) -> list[sa.ColumnElement[bool]]:
        """Return SQL for `where`: fields ANDed, several values of one field ORed."""
        values: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in where:
            values[name].append(value)
        return [self._field(connection, name).in_(wanted) for name, wanted in values.items()]

    def _field(self, connection: sa.Connection, name: str) -> Value:
        known: dict[str, Value] = {"sku": self.sku, "title": self.title}
        if self.category is not None:
            known["category"] = self.category
        if isinstance(self.attributes, tuple):
            known = {column.name: column for column in self.attributes} | known
        if name in known:
            # The cast is for numbers, enums and uuids; it costs nothing where there is text already. Imported columns
            # go without it, as their categories have an index.
            return known[name] if self.table is tables.product else sa.cast(known[name], sa.Text)
        if isinstance(self.attributes, tuple):
            raise _unknown(name, list(known))
        names = _attribute_names(connection)
        if names and name not in names:
            raise _unknown(name, [*known, *names])
        value: Value = self.attributes[name].as_string()
        return value


def imported_fields() -> Fields:
    """Return the columns of the job's own product table."""
    columns = tables.product.c
    return Fields(tables.product, columns.sku, columns.title, columns.category, columns.image, columns.attributes)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint that names the nearest known name, or all of them."""
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
    if near:
        return f"Did you mean {folded[near[0]]}?"
    return f"There are: {', '.join(sorted(known)[:20])}." if known else ""


def _unknown(name: str, known: Sequence[str]) -> UsageError:
    return UsageError(f"--where: the catalogue has no field {name!r}", hint=nearest(name, known))


def _attribute_names(connection: sa.Connection) -> list[str]:
    attributes = tables.product.c.attributes
    if connection.dialect.name == "postgresql":
        names = sa.select(sa.func.json_object_keys(attributes)).distinct()
    else:
        each = sa.func.json_each(attributes).table_valued("key")
        names = sa.select(each.c.key).select_from(tables.product).join(each, sa.true()).distinct()
    return list(connection.execute(names).scalars())


def _is_blank(column: Value) -> sa.ColumnElement[bool]:
    return sa.func.trim(sa.cast(column, sa.Text), BLANKS) == ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)
