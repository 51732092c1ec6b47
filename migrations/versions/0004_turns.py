"""Whose turn it is: live jobs by owner."""

from alembic import op
import sqlalchemy as sa

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_jobs_live', 'jobs', ['owner', 'status', 'due_at'], unique=False, postgresql_where=sa.text("status IN ('queued', 'running')"))


def downgrade() -> None:
    op.drop_index('ix_jobs_live', table_name='jobs', postgresql_where=sa.text("status IN ('queued', 'running')"))
