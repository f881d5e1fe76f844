"""The first tables: products, work, runs and their items, assets, perceptual hashes, embeddings.

A migration is history: it repeats the columns instead of importing today's `tables.py`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Byte order on PostgreSQL, whatever the server's locale; SQLite's default is byte order already.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)


def column(name, kind, *, null=False, primary_key=False):
    return sa.Column(name, kind, nullable=null, primary_key=primary_key, autoincrement=False)


def upgrade():
    op.create_table(
        "cg_product",
        column("sku", KEY, primary_key=True),
        column("title", sa.Text),
        column("category", sa.Text),
        column("attributes", sa.JSON),
        column("image", sa.Text, null=True),
        column("image_sha256", sa.Text, null=True),
        column("row_hash", sa.Text),
        column("created_at", TIME),
        column("updated_at", TIME),
    )
    op.create_index("cg_product_category", "cg_product", ["category"])
    op.create_table(
        "cg_work",
        column("job", sa.Text, primary_key=True),
        column("sku", KEY, primary_key=True),
        column("input_hash", sa.Text),
        column("state", sa.Text),
        column("run_id", KEY, null=True),
        column("lease_until", TIME, null=True),
        column("attempts", sa.Integer),
        column("deaths", sa.Integer),
        column("reason", sa.Text),
        column("updated_at", TIME),
        sa.CheckConstraint("state IN ('queued', 'claimed', 'done', 'failed')", name="cg_work_state"),
        sa.CheckConstraint("(state = 'claimed') = (run_id IS NOT NULL)", name="cg_work_holder"),
    )
    op.create_index("cg_work_claim", "cg_work", ["job", "state", "deaths", "sku"])
    op.create_table(
        "cg_run",
        column("id", KEY, primary_key=True),
        column("job", sa.Text),
        column("state", sa.Text),
        column("started_at", TIME),
        column("finished_at", TIME, null=True),
        column("heartbeat_at", TIME),
        column("host", sa.Text),
        column("pid", sa.Integer),
        column("user", sa.Text),
        column("version", sa.Text),
        column("config", sa.JSON),
        column("models", sa.JSON),
        column("counts", sa.JSON),
        column("timings", sa.JSON),
        column("images_per_second", sa.Double, null=True),
        column("exit_code", sa.Integer, null=True),
        column("message", sa.Text),
        sa.CheckConstraint("state IN ('running', 'finished', 'partial', 'failed', 'died')", name="cg_run_state"),
    )
    op.create_index("cg_run_job_state", "cg_run", ["job", "state"])
    op.create_table(
        "cg_run_item",
        column("run_id", KEY, primary_key=True),
        column("sku", KEY, primary_key=True),
        column("outcome", sa.Text, null=True),
        column("reason", sa.Text),
        column("asset_id", sa.Text, null=True),
        sa.CheckConstraint(
            "outcome IN ('generated', 'needs_review', 'failed', 'skipped', 'elsewhere')", name="cg_run_item_outcome"
        ),
    )
    create_asset_tables()


def create_asset_tables():
    op.create_table(
        "cg_asset",
        column("id", KEY, primary_key=True),
        column("sku", KEY),
        column("kind", sa.Text),
        column("style", sa.Text),
        column("variant", sa.Text),
        column("uri", sa.Text),
        column("sha256", sa.Text),
        column("bytes", sa.BigInteger),
        column("width", sa.Integer),
        column("height", sa.Integer),
        column("format", sa.Text),
        column("prompt", sa.Text),
        column("prompt_hash", sa.Text),
        column("seed", sa.BigInteger),
        column("attempt", sa.Integer),
        column("candidates", sa.Integer),
        column("clip_hash", sa.Text),
        column("gan_hash", sa.Text),
        column("scores", sa.JSON),
        column("settings", sa.JSON),
        column("phash", sa.Text),
        column("colours", sa.Text),
        column("state", sa.Text),
        column("reason", sa.Text),
        column("live", sa.Boolean),
        column("run_id", KEY),
        column("source_asset_id", KEY, null=True),
        column("created_at", TIME),
        sa.CheckConstraint(
            "state IN ('draft', 'needs_review', 'approved', 'rejected', 'published', 'failed')", name="cg_asset_state"
        ),
    )
    op.create_index("cg_asset_sku", "cg_asset", ["sku", "kind"])
    op.create_index("cg_asset_run", "cg_asset", ["run_id"])
    op.create_index(
        "cg_asset_live",
        "cg_asset",
        ["sku", "kind", "style", "variant"],
        unique=True,
        sqlite_where=sa.text("live"),
        postgresql_where=sa.text("live"),
    )
    op.create_table(
        "cg_phash", column("bucket", sa.BigInteger, primary_key=True), column("asset_id", KEY, primary_key=True)
    )
    op.create_table(
        "cg_embedding",
        column("model_hash", KEY, primary_key=True),
        column("text_hash", KEY, primary_key=True),
        column("vector", sa.LargeBinary),
        column("created_at", TIME),
    )


def downgrade():
    for table in ("embedding", "phash", "asset", "run_item", "run", "work", "product"):
        op.drop_table(f"cg_{table}")
