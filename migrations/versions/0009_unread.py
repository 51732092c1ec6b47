"""Columns that nobody has ever read."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("models", "changed_at")
    op.drop_column("instances", "spec")
    op.drop_column("instances", "created_at")


def downgrade() -> None:
    now, moment = sa.text("now()"), sa.DateTime(timezone=True)
    op.add_column("models", sa.Column("changed_at", moment, server_default=now, nullable=False))
    op.add_column("instances", sa.Column("spec", sa.Text(), server_default="", nullable=False))
    op.add_column("instances", sa.Column("created_at", moment, server_default=now, nullable=False))
