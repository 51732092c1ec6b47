"""What a key may use, and what the gateway writes down of a request."""

from alembic import op
import sqlalchemy as sa

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

PAID = "cost_usd > 0"


def upgrade() -> None:
    op.add_column('api_keys', sa.Column('models', sa.ARRAY(sa.Text()), nullable=True))
    op.add_column('api_keys', sa.Column('requests_per_minute', sa.Integer(), nullable=True))
    op.add_column('api_keys', sa.Column('tokens_per_minute', sa.BigInteger(), nullable=True))
    op.add_column('api_keys', sa.Column('parallel_calls', sa.Integer(), nullable=True))
    op.add_column('api_keys', sa.Column('budget_usd', sa.Numeric(), nullable=True))
    op.add_column('api_keys', sa.Column('budget_period', sa.Text(), server_default=sa.text("'month'"), nullable=False))
    op.add_column('usage', sa.Column('request_id', sa.Text(), nullable=True))
    op.add_column('usage', sa.Column('reasoning_tokens', sa.BigInteger(), nullable=True))
    op.add_column('usage', sa.Column('time_to_first_token_ms', sa.Double(), nullable=True))
    op.create_index('ix_usage_paid', 'usage', ['owner', 'at'], unique=False, postgresql_include=['cost_usd'], postgresql_where=sa.text(PAID))


def downgrade() -> None:
    op.drop_index('ix_usage_paid', table_name='usage', postgresql_include=['cost_usd'], postgresql_where=sa.text(PAID))
    op.drop_column('usage', 'time_to_first_token_ms')
    op.drop_column('usage', 'reasoning_tokens')
    op.drop_column('usage', 'request_id')
    op.drop_column('api_keys', 'budget_period')
    op.drop_column('api_keys', 'budget_usd')
    op.drop_column('api_keys', 'parallel_calls')
    op.drop_column('api_keys', 'tokens_per_minute')
    op.drop_column('api_keys', 'requests_per_minute')
    op.drop_column('api_keys', 'models')
