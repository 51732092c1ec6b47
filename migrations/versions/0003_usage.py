"""What every finished call spent."""

from alembic import op
import sqlalchemy as sa

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('usage',
    sa.Column('call_id', sa.UUID(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('owner', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), server_default=sa.text("'job'"), nullable=False),
    sa.Column('job_id', sa.UUID(), nullable=True),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('served_by', sa.Text(), nullable=True),
    sa.Column('provider', sa.Text(), nullable=True),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('error_code', sa.Text(), nullable=True),
    sa.Column('prompt_tokens', sa.BigInteger(), nullable=True),
    sa.Column('completion_tokens', sa.BigInteger(), nullable=True),
    sa.Column('cached_prompt_tokens', sa.BigInteger(), nullable=True),
    sa.Column('cost_usd', sa.Numeric(), nullable=True),
    sa.Column('latency_ms', sa.Double(), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('cached', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.PrimaryKeyConstraint('call_id', name=op.f('pk_usage'))
    )
    op.create_index('ix_usage_at', 'usage', ['at'], unique=False, postgresql_using='brin')
    op.create_index('ix_usage_unpriced', 'usage', ['at'], unique=False, postgresql_where=sa.text("cost_usd IS NULL AND status = 'completed'"))


def downgrade() -> None:
    op.drop_index('ix_usage_unpriced', table_name='usage', postgresql_where=sa.text("cost_usd IS NULL AND status = 'completed'"))
    op.drop_index('ix_usage_at', table_name='usage', postgresql_using='brin')
    op.drop_table('usage')
