"""The catalogue's side of restyling: what a product's restyled pictures are made from, and which are out of date.

A restyled picture follows from its source, from what decides its output's pixels, and from its engine. The hash of the
three stands beside every restyled asset; an output whose live asset has another hash, or that has none, is stale. One
that a person rejected is not: the same input would give what they rejected, until they ask for it again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from catalog_gen.catalog import tables
from catalog_gen.catalog.asset_rows import asset_of
from catalog_gen.catalog.database import Database
from catalog_gen.catalog.model import (
    APPROVED_STATES,
    DEAD_STATES,
    Asset,
    Looked,
    PictureSource,
    Product,
    RestylePlan,
    ScopeRequest,
)
from catalog_gen.catalog.plan import plan_scope
from catalog_gen.catalog.restyled import Made, made_outputs, read_made_outputs
from catalog_gen.catalog.source import CatalogSource
from catalog_gen.catalog.statements import among, chunks

asset = tables.asset


@dataclass(frozen=True)
class RestyleScope:
    """What restyling makes. outputs: each output's name, and a hash of all that decides its pixels but the source.

    photo_key: (a row's image, its SHA-256 as imported or None) to what stands for the image's bytes. detail: what else
    of a product decides its pictures. judged_by: a hash of the limits; a row that failed is tried again under others.
    """

    style: str
    outputs: Mapping[str, str]
    include_photos: bool
    photo_key: Callable[[str, str | None], str]
    detail: Callable[[Product], str] = lambda product: ""
    judged_by: str = ""

    def stale(self, source: PictureSource, made: Mapping[str, Made]) -> dict[str, str]:
        """Return the outputs to be made, by name, with the input hash of each; `made` has what there is of them."""
        wanted = {name: input_hash(source.key, output) for name, output in self.outputs.items()}
        return {name: made_from for name, made_from in wanted.items() if not made.get(name, Made()).settles(made_from)}


def input_hash(*parts: str) -> str:
    """Return the hex SHA-256 of what a picture follows from."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def plan_restyling(
    database: Database, source: CatalogSource, request: ScopeRequest, scope: RestyleScope, *, dry_run: bool = False
) -> RestylePlan:
    """Queue every row of `request` that has a source and a stale output, as this run's items; return the counts.

    The source is the approved or published picture of the row; with `include_photos`, the row's own image where it has
    one. The rest is as in `plan.plan`: pages in the catalogue's order, short transactions, harmless to repeat.
    """
    plan = RestylePlan()
    plan_scope(database, source, request, _LackingOutputs(source, scope), plan, dry_run=dry_run)
    return plan


class _LackingOutputs:
    """Rows with something to restyle and an output that is missing or out of date."""

    with_image: bool | None = None

    def __init__(self, source: CatalogSource, scope: RestyleScope) -> None:
        self._source, self._scope = source, scope
        self._sources: dict[str, PictureSource] = {}

    def look(self, database: Database, page: Sequence[Product]) -> Looked:
        self._sources = find_sources(database, self._source, page, self._scope)
        made = read_made_outputs(database, self._scope.style, sorted(self._sources))
        stale = {sku: self._scope.stale(found, made.get(sku, {})) for sku, found in self._sources.items()}
        decided = (*self._scope.outputs.values(), self._scope.judged_by)
        return Looked(
            finished={sku for sku, outputs in stale.items() if not outputs},
            # Of all outputs, not of the stale ones: a row keeps its failed attempts while its input stays the same.
            hashes={sku: input_hash(found.key, *decided) for sku, found in self._sources.items()},
            pictures={sku: len(outputs) for sku, outputs in stale.items()},
        )

    def finished(self, connection: sa.Connection, looked: Looked) -> set[str]:
        skus = sorted(looked.hashes)
        made = made_outputs(connection, self._scope.style, skus)
        return {sku for sku in skus if not self._scope.stale(self._sources[sku], made.get(sku, {}))}


def find_sources(
    database: Database, source: CatalogSource, products: Sequence[Product], scope: RestyleScope
) -> dict[str, PictureSource]:
    """Return what each product's pictures are made from, by sku; products with nothing to restyle are absent.

    An image that is one of our own pictures, written back to the shop's row on approval, is that asset and no photo.
    """
    skus = [product.sku for product in products]
    ours = _generated(database, skus)
    photographed = [product.sku for product in products if product.image] if scope.include_photos else []
    hashes = source.image_hashes(photographed)
    found: dict[str, PictureSource] = {}
    for product in products:
        pictures = ours.get(product.sku, [])
        written_back = any(picture.uri == product.image for picture in pictures)
        if scope.include_photos and product.image and not written_back:
            sha256 = hashes.get(product.sku)
            key = _key(scope, product, scope.photo_key(product.image, sha256))
            found[product.sku] = PictureSource(product.sku, product.image, key, sha256=sha256)
            continue
        for picture in pictures:
            if picture.live and picture.state in APPROVED_STATES:
                key = _key(scope, product, picture.sha256)
                found[product.sku] = PictureSource(product.sku, picture.uri, key, picture, picture.sha256)
    return found


def _key(scope: RestyleScope, product: Product, source_key: str) -> str:
    detail = scope.detail(product)
    return input_hash(source_key, detail) if detail else source_key


def _generated(database: Database, skus: Sequence[str]) -> dict[str, list[Asset]]:
    found: defaultdict[str, list[Asset]] = defaultdict(list)
    for some in chunks(skus):
        with database.read() as connection:
            query = sa.select(asset).where(
                among(connection, asset.c.sku, some),
                asset.c.kind == "generated",
                asset.c.state.not_in(sorted(DEAD_STATES)),
            )
            for row in connection.execute(query).mappings():
                found[row["sku"]].append(asset_of(row))
    return dict(found)
