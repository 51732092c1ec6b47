"""The statements that make an operation's row. What becomes of it is the lifecycle workers' (`operations.py`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, TextClause, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Text

from common.fleet.operations import Kind

# Two unique indexes keep a row out: that of the live operations of a model, and that of Idempotency-Key.
_INSERT = text(
    """
    INSERT INTO jobs (id, kind, owner, status, models, request, idempotency_key, request_hash, created_at)
    VALUES (:id, :kind, :owner, 'queued', :models, :request, :key, :hash, coalesce(:created_at, now()))
    ON CONFLICT DO NOTHING
    RETURNING id
    """
).bindparams(
    bindparam("id", type_=Uuid),
    bindparam("models", type_=JSONB),
    bindparam("request", type_=JSONB),
    bindparam("key", type_=Text),
    bindparam("hash", type_=Text),
    bindparam("created_at", type_=DateTime(timezone=True)),
)

_LIVE = text(
    """
    SELECT id FROM jobs
    WHERE kind = :kind AND request ->> 'model_id' = :model AND kind IN ('model_run', 'model_stop')
      AND status IN ('queued', 'running')
    """
)


def insert(
    job_id: UUID,
    kind: Kind,
    request: Mapping[str, Any],
    *,
    asked: str,
    owner: str,
    idempotency_key: str | None = None,
    request_hash: str | None = None,
    created_at: datetime | None = None,
) -> TextClause:
    """`(id)`; no row if such an operation goes on already, or the key is taken. `request` has `model_id`.

    It is as old as the wish that it tells of, whose answer may have come already.
    """
    models = [{"asked": asked, "id": request["model_id"]}]
    return _INSERT.bindparams(
        id=job_id, kind=kind, owner=owner, models=models, request=dict(request), key=idempotency_key,
        hash=request_hash, created_at=created_at,
    )  # fmt: skip


def live(kind: Kind, model: str) -> TextClause:
    """`(id)` of the operation of this kind that goes on with this model."""
    return _LIVE.bindparams(kind=kind, model=model)
