"""Finished work that piles up: what retention removes, what ended badly, which calls were given up, what was retried."""

from alembic import op
import sqlalchemy as sa

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

ENDED_BADLY = "status IN ('partial', 'failed', 'cancelled')"
DEAD = "status = 'failed' AND answer -> 'error' ->> 'code' = 'dead_lettered'"


def upgrade() -> None:
    op.add_column('jobs', sa.Column('retry_of', sa.UUID(), nullable=True))
    op.create_index('ix_jobs_finished', 'jobs', ['finished_at'], unique=False, postgresql_where=sa.text('finished_at IS NOT NULL'))
    op.create_index('ix_jobs_status_id', 'jobs', ['status', 'id'], unique=False, postgresql_where=sa.text(ENDED_BADLY))
    op.create_index('ix_jobs_owner_status_id', 'jobs', ['owner', 'status', 'id'], unique=False, postgresql_where=sa.text(ENDED_BADLY))
    op.create_index('ix_calls_dead', 'calls', ['finished_at'], unique=False, postgresql_where=sa.text(DEAD))


def downgrade() -> None:
    op.drop_index('ix_calls_dead', table_name='calls', postgresql_where=sa.text(DEAD))
    op.drop_index('ix_jobs_owner_status_id', table_name='jobs', postgresql_where=sa.text(ENDED_BADLY))
    op.drop_index('ix_jobs_status_id', table_name='jobs', postgresql_where=sa.text(ENDED_BADLY))
    op.drop_index('ix_jobs_finished', table_name='jobs', postgresql_where=sa.text('finished_at IS NOT NULL'))
    op.drop_column('jobs', 'retry_of')
