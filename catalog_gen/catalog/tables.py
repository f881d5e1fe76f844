"""The job's own tables. All are named `cg_...`, so that they can live beside the shop's.

The migrations under `sql/` create them; a test compares the two. What decides correctness is in the keys:
one work row a (job, sku), one counted outcome a (run, sku), and at most one live asset a (sku, kind, style, variant).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData()

# PostgreSQL's default collation follows the server's locale. Byte order is faster, and makes "in sku order" mean
# the same in both databases and in Python.
Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BigInt = sa.BigInteger()


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware UTC time. SQLite has no time type: it gets ISO text there, which sorts as time does."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        time: datetime = value
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


product = sa.Table(
    "cg_product",
    metadata,
    sa.Column("sku", Key, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("attributes", sa.JSON, nullable=False),  # json, not jsonb: jsonb forgets the order
    sa.Column("image", sa.Text),
    sa.Column("image_sha256", sa.Text),
    sa.Column("row_hash", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Index("cg_product_category", "category"),
)

work = sa.Table(
    "cg_work",
    metadata,
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("sku", Key, primary_key=True),
    sa.Column("input_hash", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("run_id", Key),
    sa.Column("lease_until", UtcTime),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.CheckConstraint("state IN ('queued', 'claimed', 'done', 'failed')", name="cg_work_state"),
    sa.CheckConstraint("(state = 'claimed') = (run_id IS NOT NULL)", name="cg_work_holder"),
    sa.Index("cg_work_claim", "job", "state", "deaths", "sku"),
)

run = sa.Table(
    "cg_run",
    metadata,
    sa.Column("id", Key, primary_key=True),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("heartbeat_at", UtcTime, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("timings", sa.JSON, nullable=False),
    sa.Column("images_per_second", sa.Double),
    sa.Column("exit_code", sa.Integer),
    sa.Column("message", sa.Text, nullable=False),
    sa.CheckConstraint("state IN ('running', 'finished', 'partial', 'failed', 'died')", name="cg_run_state"),
    sa.Index("cg_run_job_state", "job", "state"),
)

run_item = sa.Table(
    "cg_run_item",
    metadata,
    sa.Column("run_id", Key, primary_key=True),
    sa.Column("sku", Key, primary_key=True),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("asset_id", sa.Text),
    sa.CheckConstraint(
        "outcome IN ('generated', 'restyled', 'needs_review', 'failed', 'skipped', 'elsewhere')",
        name="cg_run_item_outcome",
    ),
)

asset = sa.Table(
    "cg_asset",
    metadata,
    sa.Column("id", Key, primary_key=True),
    sa.Column("sku", Key, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("style", sa.Text, nullable=False),
    sa.Column("variant", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("bytes", BigInt, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("prompt_hash", sa.Text, nullable=False),
    sa.Column("seed", BigInt, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("candidates", sa.Integer, nullable=False),
    sa.Column("clip_hash", sa.Text, nullable=False),
    sa.Column("gan_hash", sa.Text, nullable=False),
    sa.Column("scores", sa.JSON, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("phash", sa.Text, nullable=False),
    sa.Column("colours", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("run_id", Key, nullable=False),
    sa.Column("source_asset_id", Key),
    sa.Column("input_hash", sa.Text, nullable=False, server_default=""),
    sa.Column("retired_by", Key),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("category", sa.Text, nullable=False, server_default=""),
    sa.Column("doubt", sa.Double, nullable=False, server_default="0"),
    sa.Column("reason_kind", sa.Text, nullable=False, server_default=""),
    sa.CheckConstraint(
        "state IN ('draft', 'needs_review', 'approved', 'rejected', 'published', 'failed')", name="cg_asset_state"
    ),
    sa.Index("cg_asset_sku", "sku", "kind"),
    sa.Index("cg_asset_run", "run_id"),
    # Both hold all that a queue is filtered by, so that no row need be looked up to leave it out. `live` is not first:
    # without statistics SQLite would take the index for every query that says `live`.
    # PostgreSQL takes index rows of 2,700 bytes; skus, prompts and categories have at most 200, 300 and 100 characters.
    sa.Index(
        "cg_asset_review",
        *("state", "live", "doubt", "id", "kind", "style", "reason_kind", "category", "run_id", "created_at", "sku"),
        "prompt",
    ),
    sa.Index("cg_asset_facets", "state", "live", "kind", "style", "reason_kind", "category", "run_id"),
)
sa.Index(
    "cg_asset_live",
    asset.c.sku,
    asset.c.kind,
    asset.c.style,
    asset.c.variant,
    unique=True,
    sqlite_where=asset.c.live,
    postgresql_where=asset.c.live,
)

# One row a decision of a person; an undo is a row too, which names what it undoes. Rows are added, and never changed
# but for `undone_by`, so that all that people decided can be told from them.
decision = sa.Table(
    "cg_decision",
    metadata,
    sa.Column("id", Key, primary_key=True),
    sa.Column("asset_id", Key, nullable=False),
    sa.Column("sku", Key, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("from_state", sa.Text, nullable=False),
    sa.Column("to_state", sa.Text, nullable=False),
    sa.Column("from_version", sa.Integer, nullable=False),
    sa.Column("to_version", sa.Integer, nullable=False),
    sa.Column("reviewer", Key, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("decided_at", UtcTime, nullable=False),
    sa.Column("undone_by", Key),
    sa.Column("undoes", Key),
    sa.Column("details", sa.JSON, nullable=False),
    sa.CheckConstraint("action IN ('approve', 'reject', 'again', 'undo')", name="cg_decision_action"),
    sa.CheckConstraint("source IN ('desk', 'file', 'command')", name="cg_decision_source"),
    sa.CheckConstraint("(action = 'undo') = (undoes IS NOT NULL)", name="cg_decision_undoes"),
    sa.Index("cg_decision_asset", "asset_id"),
    sa.Index("cg_decision_sku", "sku"),
    sa.Index("cg_decision_time", "decided_at", "id"),
    sa.Index("cg_decision_reviewer", "reviewer", "decided_at"),
)

# What the next drawing of a product is asked to be; gone when a picture is recorded.
wish = sa.Table(
    "cg_wish",
    metadata,
    sa.Column("sku", Key, primary_key=True),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("candidates", sa.Integer),
    sa.Column("decision_id", Key, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested_at", UtcTime, nullable=False),
)

# Where a picture was published first when; its state says that it was, this says in which channels.
publication = sa.Table(
    "cg_publication",
    metadata,
    sa.Column("asset_id", Key, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("published_at", UtcTime, nullable=False),
)

# Four 16-bit bands of the perceptual hash and a fifth entry for the whole of it; the high bits number the band.
phash = sa.Table(
    "cg_phash",
    metadata,
    sa.Column("bucket", BigInt, primary_key=True, autoincrement=False),
    sa.Column("asset_id", Key, primary_key=True),
)

embedding = sa.Table(
    "cg_embedding",
    metadata,
    sa.Column("model_hash", Key, primary_key=True),
    sa.Column("text_hash", Key, primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)
