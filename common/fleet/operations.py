"""Jobs that are operations on models: `model_run` and `model_stop`. No worker advances them: they follow the model.

Such a row has no `due_at`, so that no sweep rings for it, and its request is `{"model_id": …}`.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import JSON, JSONB

RUN: Final = "model_run"
STOP: Final = "model_stop"
Kind = Literal["model_run", "model_stop"]

_LIVE = text(
    """
    SELECT j.id, j.kind, j.status, j.created_at, j.request ->> 'model_id' AS model,
           m.is_wanted, m.wanted_at, m.node, m.generation, m.state, m.reason, m.progress, m.fault, m.failed_at
    FROM jobs j LEFT JOIN models m ON m.id = j.request ->> 'model_id'
    WHERE j.kind IN ('model_run', 'model_stop') AND j.status IN ('queued', 'running')
    ORDER BY j.id
    """
)

_BEGIN = text("UPDATE jobs SET status = 'running', started_at = now() WHERE id = :id AND status = 'queued'")

_FINISH = text(
    """
    UPDATE jobs SET status = :status, result = :result, error = :error, finished_at = now(), due_at = NULL,
        started_at = coalesce(started_at, now())
    WHERE id = :id AND status IN ('queued', 'running')
    RETURNING *
    """
).bindparams(bindparam("result", type_=JSON(none_as_null=True)), bindparam("error", type_=JSONB(none_as_null=True)))


def live() -> TextClause:
    """The operations that have not ended, each with its model's row."""
    return _LIVE


def begin(job_id: UUID) -> TextClause:
    """An operation is under way; nothing happens to one that has begun."""
    return _BEGIN.bindparams(id=job_id)


def finish(
    job_id: UUID,
    status: Literal["completed", "failed"],
    *,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> TextClause:
    """End an operation; its whole row for whoever was first."""
    return _FINISH.bindparams(id=job_id, status=status, result=result, error=error)
