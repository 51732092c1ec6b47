"""How many workers fell silent on a job's next step."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("silences", sa.SmallInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("jobs", "silences")
