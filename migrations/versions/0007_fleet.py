"""Models in containers: wishes, instances, and the machines that they are on."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('gpus',
    sa.Column('uuid', sa.Text(), nullable=False),
    sa.Column('node', sa.Text(), nullable=False),
    sa.Column('index', sa.Integer(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('total_bytes', sa.BigInteger(), nullable=False),
    sa.Column('used_bytes', sa.BigInteger(), nullable=False),
    sa.Column('capacity_bytes', sa.BigInteger(), nullable=False),
    sa.Column('free_bytes', sa.BigInteger(), nullable=False),
    sa.Column('utilisation', sa.Double(), nullable=True),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('uuid', name=op.f('pk_gpus'))
    )
    op.create_index('ix_gpus_node', 'gpus', ['node'], unique=False)
    op.create_table('installation',
    sa.Column('is_only', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('id', sa.UUID(), server_default=sa.text('gen_random_uuid()'), nullable=False),
    sa.CheckConstraint('is_only', name='is_only'),
    sa.PrimaryKeyConstraint('is_only', name=op.f('pk_installation'))
    )
    op.create_table('instances',
    sa.Column('container', sa.Text(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('node', sa.Text(), nullable=False),
    sa.Column('spec', sa.Text(), nullable=False),
    sa.Column('base_url', sa.Text(), nullable=True),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('gpu_uuids', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('host_bytes', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('gpu_bytes', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('health', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('proved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stop_reason', sa.Text(), nullable=True),
    sa.Column('stop_by', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('container', name=op.f('pk_instances'))
    )
    op.create_index('ix_instances_model', 'instances', ['model', 'generation'], unique=False)
    op.create_index('ix_instances_node', 'instances', ['node'], unique=False)
    op.create_table('model_events',
    sa.Column('id', sa.UUID(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('node', sa.Text(), nullable=True),
    sa.Column('generation', sa.Integer(), nullable=True),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('detail', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_model_events'))
    )
    op.create_index('ix_model_events_model', 'model_events', ['model', 'id'], unique=False)
    op.create_table('models',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('is_wanted', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('wanted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('queued_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('is_forced', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('drain_seconds', sa.Double(), nullable=True),
    sa.Column('node', sa.Text(), nullable=True),
    sa.Column('generation', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('state', sa.Text(), server_default=sa.text("'stopped'"), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('progress', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('failures', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('failed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failed_generation', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('failed_spec', sa.Text(), nullable=True),
    sa.Column('fault', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('retry_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('seen_bytes', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('restarts', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_models'))
    )
    op.create_table('nodes',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('limit_bytes', sa.BigInteger(), nullable=False),
    sa.Column('capacity_bytes', sa.BigInteger(), nullable=False),
    sa.Column('free_bytes', sa.BigInteger(), nullable=False),
    sa.Column('available_bytes', sa.BigInteger(), nullable=True),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_nodes'))
    )


def downgrade() -> None:
    op.drop_table('nodes')
    op.drop_table('models')
    op.drop_index('ix_model_events_model', table_name='model_events')
    op.drop_table('model_events')
    op.drop_index('ix_instances_node', table_name='instances')
    op.drop_index('ix_instances_model', table_name='instances')
    op.drop_table('instances')
    op.drop_table('installation')
    op.drop_index('ix_gpus_node', table_name='gpus')
    op.drop_table('gpus')
