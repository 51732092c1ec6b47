"""What a call met so far, so that another worker goes on from there; and how often a worker fell silent on it."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('calls', sa.Column('route', postgresql.JSONB(), nullable=True))
    op.add_column('calls', sa.Column('silences', sa.SmallInteger(), server_default=sa.text('0'), nullable=False))


def downgrade() -> None:
    op.drop_column('calls', 'silences')
    op.drop_column('calls', 'route')
