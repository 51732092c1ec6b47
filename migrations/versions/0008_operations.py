"""Of the operations of a kind on a model, one goes on at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "uq_jobs_operation",
        "jobs",
        ["kind", sa.literal_column("(request ->> 'model_id')")],
        unique=True,
        postgresql_where=sa.text("kind IN ('model_run', 'model_stop') AND status IN ('queued', 'running')"),
    )


def downgrade() -> None:
    op.drop_index("uq_jobs_operation", table_name="jobs")
