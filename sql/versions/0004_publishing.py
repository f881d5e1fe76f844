"""Publishing: which picture was published in which channel, and when first."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade():
    op.create_table(
        "cg_publication",
        sa.Column("asset_id", KEY, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade():
    op.drop_table("cg_publication")
