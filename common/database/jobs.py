"""The statements about jobs. Each is whole in itself: one round trip, one commit.

Batched statements take their rows as one JSON parameter, so that their text, and with it the prepared
plan, is the same for one row and for two hundred. Locks are taken on calls first, then on jobs, each
in the order of their ids, so that no two statements deadlock.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, TextClause, Uuid, any_, bindparam, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSON, JSONB, aggregate_order_by
from sqlalchemy.sql.dml import ReturningDelete

from common.contracts.jobs import TERMINAL
from common.database.tables import calls, jobs

_INSERT = text(
    """
    INSERT INTO jobs (id, kind, owner, status, models, request, idempotency_key, request_hash, due_at)
    SELECT id, kind, owner, 'queued', models, request, idempotency_key, request_hash,
           now() + make_interval(secs => :grace)
    FROM jsonb_to_recordset(:rows) AS r(
        id uuid, kind text, owner text, models jsonb, request jsonb, idempotency_key text, request_hash text)
    ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, created_at
    """
).bindparams(bindparam("rows", type_=JSONB))

_BEGIN_ROUNDS = text(
    """
    WITH asked AS (
        SELECT * FROM json_to_recordset(:calls) AS c(
            id uuid, job_id uuid, round int, position int, model text, queue text, fingerprint text, request json)
    ), size AS (
        SELECT job_id, round, count(*)::int AS n FROM asked GROUP BY job_id, round
    ), turn AS (
        SELECT j.id FROM jobs j JOIN size s ON j.id = s.job_id
        WHERE j.round = s.round AND j.pending = 0 AND j.status IN ('queued', 'running')
        ORDER BY j.id FOR NO KEY UPDATE OF j
    ), won AS (
        UPDATE jobs j
        SET status = 'running', started_at = coalesce(j.started_at, now()), round = j.round + 1,
            pending = s.n, total = j.total + s.n, due_at = NULL, rings = 0
        FROM size s, turn t
        WHERE j.id = s.job_id AND j.id = t.id AND j.round = s.round AND j.pending = 0
          AND j.status IN ('queued', 'running')
        RETURNING j.id
    )
    INSERT INTO calls (id, job_id, round, position, model, queue, fingerprint, request, due_at)
    SELECT a.id, a.job_id, a.round, a.position, a.model, a.queue, a.fingerprint, a.request,
           now() + make_interval(secs => :grace)
    FROM asked a JOIN won ON won.id = a.job_id
    RETURNING job_id
    """
).bindparams(bindparam("calls", type_=JSON))

_FINISH = text(
    """
    WITH ending AS (
        SELECT * FROM json_to_recordset(:rows) AS e(
            id uuid, round int, status text, result json, text text, error jsonb)
    ), turn AS (
        SELECT j.id FROM jobs j JOIN ending e USING (id) ORDER BY j.id FOR NO KEY UPDATE OF j
    )
    UPDATE jobs j
    SET status = e.status, result = e.result, text = e.text, error = e.error,
        started_at = coalesce(j.started_at, now()),
        finished_at = now(), due_at = NULL
    FROM ending e, turn t
    WHERE j.id = e.id AND j.id = t.id AND j.round = e.round AND j.pending = 0
      AND j.status IN ('queued', 'running')
    RETURNING j.id
    """
).bindparams(bindparam("rows", type_=JSON))

_CANCEL = text(
    """
    UPDATE jobs SET status = 'cancelled', finished_at = now(), due_at = NULL
    WHERE id = :id AND status IN ('queued', 'running')
    RETURNING id
    """
)

_RING_DUE = text(
    """
    WITH due AS (
        SELECT id FROM jobs
        WHERE status IN ('queued', 'running') AND due_at <= now()
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs j
    SET rings = least(j.rings + 1, 5), due_at = now() + make_interval(secs => :grace * 2 ^ least(j.rings, 5))
    FROM due WHERE j.id = due.id
    RETURNING j.id
    """
)

_SHOWN = ("id", "round", "model", "status", "fingerprint", "attempt", "answer")
_CALL = func.jsonb_build_object(*(part for name in _SHOWN for part in (literal(name), calls.c[name])))
# Built once: putting this together costs as much as running it.
_WITH_CALLS = select(
    jobs,
    select(func.jsonb_agg(aggregate_order_by(_CALL, calls.c.round, calls.c.position)))
    .where(calls.c.job_id == jobs.c.id)
    .scalar_subquery()
    .label("calls"),
).where(jobs.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))

# What a watcher can see changing, in a few bytes: the ETag of a job.
_MARK = text(
    """
    SELECT j.status,
           md5(j.status || coalesce(string_agg(c.status || c.attempt, ',' ORDER BY c.round, c.position), '')) AS digest
    FROM jobs j LEFT JOIN calls c ON c.job_id = j.id
    WHERE j.id = :id AND (CAST(:owner AS text) IS NULL OR j.owner = :owner)
    GROUP BY j.id
    """
)


def insert(rows: list[dict[str, Any]], grace: timedelta) -> TextClause:
    """Store submissions; returns `(id, created_at)` of those stored.

    A row whose `(owner, idempotency_key)` is taken is left out: look it up with `by_idempotency_key`.
    """
    return _INSERT.bindparams(rows=rows, grace=grace.total_seconds())


def by_idempotency_key(owner: str, key: str) -> Select[Any]:
    return select(jobs).where(jobs.c.owner == owner, jobs.c.idempotency_key == key)


def count_queued() -> Select[Any]:
    """How many jobs wait for their first round."""
    return select(func.count()).select_from(jobs).where(jobs.c.status == "queued")


def any_one() -> Select[Any]:
    """The cheapest statement that needs our tables to be there."""
    return select(jobs.c.id).limit(1)


def overdue() -> Select[Any]:
    """`seconds`: for how long the oldest live job has been due for a ring, 0 if none is."""
    late = func.extract("epoch", func.now() - func.min(jobs.c.due_at))
    return select(func.greatest(func.coalesce(late, 0), 0).label("seconds")).where(
        jobs.c.status.in_(["queued", "running"])
    )


def with_calls(ids: list[UUID]) -> Select[Any]:
    """Jobs with all their calls, payloads included: what a replay or a document needs."""
    return _WITH_CALLS.params(ids=ids)


def begin_rounds(asked: list[dict[str, Any]], grace: timedelta) -> TextClause:
    """Open the next round of each job and insert its calls; returns `job_id` of those that won.

    Compare and set on `(round, pending = 0)`: of two advances of one job, one gets rows.
    """
    return _BEGIN_ROUNDS.bindparams(calls=asked, grace=grace.total_seconds())


def finish(rows: list[dict[str, Any]]) -> TextClause:
    """End jobs whose current round is complete; returns the ids that were still running."""
    return _FINISH.bindparams(rows=rows)


def cancel(job_id: UUID) -> TextClause:
    """End a job by its owner's wish; no row if it had ended. Follow with `calls.cancel`."""
    return _CANCEL.bindparams(id=job_id)


def ring_due(limit: int, grace: timedelta) -> TextClause:
    """The jobs to ring for now. Each ring doubles the wait for the next, up to 32 times `grace`."""
    return _RING_DUE.bindparams(limit=limit, grace=grace.total_seconds())


def still_live(ids: list[UUID]) -> Select[Any]:
    """`id` of those of the jobs that are there and have not ended."""
    among = any_(bindparam("ids", ids, type_=ARRAY(Uuid)))
    return select(jobs.c.id).where(jobs.c.id == among, jobs.c.status.in_(["queued", "running"]))


def mark(job_id: UUID, owner: str | None) -> TextClause:
    """`(status, digest)`: the digest changes whenever the job's document does."""
    return _MARK.bindparams(id=job_id, owner=owner)


def digest(row: Mapping[str, Any]) -> str:
    """The digest of `mark`, from a row of `with_calls`."""
    seen = ",".join(f"{call['status']}{call['attempt']}" for call in row["calls"] or [])
    return hashlib.md5(f"{row['status']}{seen}".encode(), usedforsecurity=False).hexdigest()


def page(
    *,
    owner: str | None,
    before: UUID | None,
    limit: int,
    status: str | None = None,
    kind: str | None = None,
    model: str | None = None,
) -> Select[Any]:
    """Newest first, no payloads, from just below `before`. `owner` None sees everybody's."""
    columns = [
        jobs.c[name]
        for name in (
            "id",
            "kind",
            "status",
            "models",
            "total",
            "pending",
            "created_at",
            "started_at",
            "finished_at",
        )
    ]
    statement = select(*columns).order_by(jobs.c.id.desc()).limit(limit)
    if owner is not None:
        statement = statement.where(jobs.c.owner == owner)
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    if status is not None:
        statement = statement.where(jobs.c.status == status)
    if kind is not None:
        statement = statement.where(jobs.c.kind == kind)
    if model is not None:
        statement = statement.where(jobs.c.models.contains([{"id": model}]))
    return statement


def remove(job_id: UUID) -> ReturningDelete[Any]:
    """Delete an ended job with its calls; no row if it runs."""
    return delete(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(TERMINAL)).returning(jobs.c.id)


def count_by_status() -> Select[Any]:
    """`(status, n)` of the live jobs only: a scrape must not count a million finished ones."""
    return select(jobs.c.status, func.count()).where(jobs.c.status.in_(["queued", "running"])).group_by(jobs.c.status)
