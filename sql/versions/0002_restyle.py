"""Restyled pictures: what an asset was made from, which run took its place, and the outcome `restyled`."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
OUTCOMES = "'generated', 'restyled', 'needs_review', 'failed', 'skipped', 'elsewhere'"
EARLIER = "'generated', 'needs_review', 'failed', 'skipped', 'elsewhere'"


def upgrade():
    op.add_column("cg_asset", sa.Column("input_hash", sa.Text, nullable=False, server_default=""))
    op.add_column("cg_asset", sa.Column("retired_by", KEY, nullable=True))
    allow(OUTCOMES)


def downgrade():
    op.execute("DELETE FROM cg_asset WHERE kind = 'restyled'")
    op.execute("DELETE FROM cg_run_item WHERE outcome = 'restyled'")
    allow(EARLIER)
    for column in ("retired_by", "input_hash"):
        op.drop_column("cg_asset", column)


def allow(outcomes):
    """Let run items have these outcomes. SQLite cannot change a constraint, so the table is copied there."""
    condition = f"outcome IN ({outcomes})"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("cg_run_item_outcome", "cg_run_item", type_="check")
        op.create_check_constraint("cg_run_item_outcome", "cg_run_item", condition)
        return
    op.rename_table("cg_run_item", "cg_run_item_before")
    op.create_table(
        "cg_run_item",
        sa.Column("run_id", KEY, primary_key=True),
        sa.Column("sku", KEY, primary_key=True),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("asset_id", sa.Text),
        sa.CheckConstraint(condition, name="cg_run_item_outcome"),
    )
    op.execute("INSERT INTO cg_run_item SELECT run_id, sku, outcome, reason, asset_id FROM cg_run_item_before")
    op.drop_table("cg_run_item_before")
