"""Review: how unsure the job is of a picture, who decided what, and what the next drawing is asked to be."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)

KIND = """CASE
    WHEN reason = '' THEN ''
    WHEN state = 'rejected' THEN 'person'
    WHEN reason LIKE 'similarity %' THEN 'similarity'
    WHEN reason LIKE 'near-duplicate %' THEN 'duplicate'
    WHEN reason LIKE 'the cut-out %' OR reason LIKE 'cut out of %' THEN 'cut-out'
    WHEN reason LIKE 'blank: %' OR reason LIKE 'noise: %' OR reason LIKE 'degenerate: %' THEN 'fault'
    WHEN reason LIKE 'the picture has values %' THEN 'fault'
    ELSE 'other' END"""
NUMBER = {
    "sqlite": "CAST(json_extract({column}, '$.{key}') AS REAL)",
    "postgresql": "CAST({column} ->> '{key}' AS DOUBLE PRECISION)",
}


def column(name, kind, *, null=False, primary_key=False):
    return sa.Column(name, kind, nullable=null, primary_key=primary_key, autoincrement=False)


def upgrade():
    for name, kind, default in (
        ("version", sa.Integer, "1"),
        ("category", sa.Text, ""),
        ("doubt", sa.Double, "0"),
        ("reason_kind", sa.Text, ""),
    ):
        op.add_column("cg_asset", sa.Column(name, kind, nullable=False, server_default=default))
    fill_in()
    # Both hold all that a queue is filtered by, so that no row need be looked up to leave it out. `live` is not first:
    # without statistics SQLite would take the index for every query that says `live`.
    filters = ["category", "run_id"]
    order = ["state", "live", "doubt", "id", "kind", "style", "reason_kind", *filters, "created_at", "sku", "prompt"]
    op.create_index("cg_asset_review", "cg_asset", order)
    op.create_index("cg_asset_facets", "cg_asset", ["state", "live", "kind", "style", "reason_kind", *filters])
    create_tables()


def fill_in():
    """Give earlier pictures what they would have been recorded with, as far as it can be told from their rows."""
    number = NUMBER[op.get_bind().dialect.name]
    similarity, threshold = (
        number.format(column=name, key=key) for name, key in (("scores", "similarity"), ("models", "threshold"))
    )
    op.execute(
        "UPDATE cg_asset SET category = COALESCE((SELECT substr(cg_product.category, 1, 100) FROM cg_product"
        " WHERE cg_product.sku = cg_asset.sku), '')"
    )
    op.execute(f"UPDATE cg_asset SET reason_kind = {KIND}")
    # As they were judged: 0 for a similarity of 1, one half at the threshold, 1 at -1; see quality/doubt.py.
    judged = f"(SELECT {threshold} FROM cg_run WHERE cg_run.id = cg_asset.run_id)"
    op.execute(
        f"UPDATE cg_asset SET doubt = CASE WHEN {similarity} >= {judged} THEN (1 - {similarity}) / (2 * (1 - {judged}))"
        f" ELSE 0.5 + ({judged} - {similarity}) / (2 * ({judged} + 1)) END"
        f" WHERE kind = 'generated' AND {similarity} BETWEEN -1 AND 1 AND {judged} > -1 AND {judged} < 1"
    )
    op.execute("UPDATE cg_asset SET doubt = (1 + doubt) / 2 WHERE kind = 'generated' AND reason LIKE '%near-dup%'")
    op.execute("UPDATE cg_asset SET doubt = 1 WHERE kind = 'generated' AND reason_kind = 'fault'")
    op.execute("UPDATE cg_asset SET doubt = 0.5 WHERE kind = 'restyled' AND reason LIKE 'cut out of %'")
    op.execute("UPDATE cg_asset SET doubt = 0.75 WHERE kind = 'restyled' AND reason LIKE 'the cut-out %'")


def create_tables():
    op.create_table(
        "cg_decision",
        column("id", KEY, primary_key=True),
        column("asset_id", KEY),
        column("sku", KEY),
        column("action", sa.Text),
        column("reason", sa.Text),
        column("from_state", sa.Text),
        column("to_state", sa.Text),
        column("from_version", sa.Integer),
        column("to_version", sa.Integer),
        column("reviewer", KEY),
        column("source", sa.Text),
        column("decided_at", TIME),
        column("undone_by", KEY, null=True),
        column("undoes", KEY, null=True),
        column("details", sa.JSON),
        sa.CheckConstraint("action IN ('approve', 'reject', 'again', 'undo')", name="cg_decision_action"),
        sa.CheckConstraint("source IN ('desk', 'file', 'command')", name="cg_decision_source"),
        sa.CheckConstraint("(action = 'undo') = (undoes IS NOT NULL)", name="cg_decision_undoes"),
    )
    op.create_index("cg_decision_asset", "cg_decision", ["asset_id"])
    op.create_index("cg_decision_sku", "cg_decision", ["sku"])
    op.create_index("cg_decision_time", "cg_decision", ["decided_at", "id"])
    op.create_index("cg_decision_reviewer", "cg_decision", ["reviewer", "decided_at"])
    op.create_table(
        "cg_wish",
        column("sku", KEY, primary_key=True),
        column("words", sa.Text),
        column("candidates", sa.Integer, null=True),
        column("decision_id", KEY),
        column("requested_by", sa.Text),
        column("requested_at", TIME),
    )


def downgrade():
    for table in ("cg_wish", "cg_decision"):
        op.drop_table(table)
    for index in ("cg_asset_facets", "cg_asset_review"):
        op.drop_index(index, "cg_asset")
    for name in ("reason_kind", "doubt", "category", "version"):
        op.drop_column("cg_asset", name)
