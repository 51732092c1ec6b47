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

from sqlalchemy import ARRAY, Integer, Select, TextClause, Uuid, any_, bindparam, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSON, JSONB, aggregate_order_by
from sqlalchemy.sql.dml import ReturningDelete

from common.contracts.jobs import TERMINAL
from common.database.tables import calls, jobs
from common.lanes import FRONT_JOBS

# Places of an owner, where nobody counts them.
UNBOUNDED = 1_000_000
# For how long who was handed a job may leave it alone, unless somebody says.
GRACE = timedelta(seconds=10)

_INSERT = text(
    """
    INSERT INTO jobs (id, kind, owner, status, models, request, idempotency_key, request_hash, retry_of, due_at)
    SELECT id, kind, owner, 'queued', models, request, idempotency_key, request_hash, retry_of,
           now() + CASE WHEN waits THEN '0' ELSE make_interval(secs => :grace) END
    FROM jsonb_to_recordset(:rows) AS r(
        id uuid, kind text, owner text, models jsonb, request jsonb, idempotency_key text, request_hash text,
        retry_of uuid, waits boolean)
    ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, created_at
    """
).bindparams(bindparam("rows", type_=JSONB))

# `place` is the job's number among its owner's running ones, itself included. Only the first round needs a place:
# who has begun goes on. Counting stops where it makes no difference any more.
_BEGIN_ROUNDS = text(
    """
    WITH asked AS (
        SELECT * FROM json_to_recordset(:calls) AS c(
            id uuid, job_id uuid, round int, position int, model text, queue text, fingerprint text, request json)
    ), size AS (
        SELECT job_id, round, count(*)::int AS n FROM asked GROUP BY job_id, round
    ), turn AS (
        SELECT j.id, j.owner, j.status, s.round, s.n FROM jobs j JOIN size s ON j.id = s.job_id
        WHERE j.round = s.round AND j.pending = 0 AND j.status IN ('queued', 'running')
        ORDER BY j.id FOR NO KEY UPDATE OF j
    ), busy AS (
        SELECT o.owner, (SELECT count(*) FROM (
            SELECT FROM jobs r WHERE r.owner = o.owner AND r.status = 'running' LIMIT :places) AS counted) AS n
        FROM (SELECT DISTINCT owner FROM turn) AS o
    ), placed AS (
        SELECT t.*, b.n + CASE WHEN t.status = 'queued'
                               THEN row_number() OVER (PARTITION BY t.owner, t.status ORDER BY t.id) ELSE 0 END AS place
        FROM turn t JOIN busy b USING (owner)
    ), refused AS (
        UPDATE jobs j SET due_at = j.created_at, rings = 0
        FROM placed p WHERE j.id = p.id AND j.status = 'queued' AND p.place > :places
    ), won AS (
        UPDATE jobs j
        SET status = 'running', started_at = coalesce(j.started_at, now()), round = j.round + 1,
            pending = p.n, total = j.total + p.n, due_at = NULL, rings = 0
        FROM placed p
        WHERE j.id = p.id AND (p.status = 'running' OR p.place <= :places) AND j.round = p.round AND j.pending = 0
          AND j.status IN ('queued', 'running')
        RETURNING j.id, p.place <= :front_jobs AS is_front
    ), opened AS (
        INSERT INTO calls (id, job_id, round, position, model, queue, fingerprint, request, due_at)
        SELECT a.id, a.job_id, a.round, a.position, a.model, a.queue, a.fingerprint, a.request,
               now() + make_interval(secs => :grace)
        FROM asked a JOIN won ON won.id = a.job_id
        RETURNING job_id
    )
    SELECT opened.job_id, won.is_front FROM opened JOIN won ON won.id = opened.job_id
    """
).bindparams(bindparam("calls", type_=JSON), bindparam("places", type_=Integer))

_FINISH = text(
    """
    WITH ending AS (
        SELECT * FROM json_to_recordset(:rows) AS e(
            id uuid, round int, status text, result json, text text, error jsonb)
    ), turn AS (
        SELECT j.id FROM jobs j JOIN ending e USING (id) ORDER BY j.id FOR NO KEY UPDATE OF j
    ), ended AS (
        UPDATE jobs j
        SET status = e.status, result = e.result, text = e.text, error = e.error,
            started_at = coalesce(j.started_at, now()),
            finished_at = now(), due_at = NULL
        FROM ending e, turn t
        WHERE j.id = e.id AND j.id = t.id AND j.round = e.round AND j.pending = 0
          AND j.status IN ('queued', 'running')
        RETURNING j.id, j.owner
    ), freed AS (
        SELECT owner, count(*) AS n FROM ended GROUP BY owner
    ), next AS (
        SELECT w.id FROM freed f CROSS JOIN LATERAL (
            SELECT j.id FROM jobs j WHERE j.owner = f.owner AND j.status = 'queued' AND j.due_at <= now()
            ORDER BY j.due_at LIMIT f.n FOR NO KEY UPDATE SKIP LOCKED) AS w
    ), called AS (
        UPDATE jobs j SET due_at = now() + make_interval(secs => :grace)
        FROM next WHERE j.id = next.id
        RETURNING j.id
    )
    SELECT id, true AS has_ended FROM ended UNION ALL SELECT id, false FROM called
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
        WHERE status = 'running' AND due_at <= now()
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs j
    SET rings = least(j.rings + 1, 5), due_at = now() + make_interval(secs => :grace * 2 ^ least(j.rings, 5))
    FROM due WHERE j.id = due.id
    RETURNING j.id
    """
)

# The backlog: queued jobs that no message speaks of, marked by a due time that has passed. Places are what an owner
# may have at work, less what it has, less what has been rung for and not begun. First everybody's first ones,
# then everybody's second ones. Every part reads a short stretch of ix_jobs_live, however long the backlog.
_FEED = text(
    """
    WITH RECURSIVE line(owner) AS (
        (SELECT owner FROM jobs WHERE status = 'queued' ORDER BY owner LIMIT 1)
        UNION ALL
        SELECT (SELECT j.owner FROM jobs j WHERE j.status = 'queued' AND j.owner > line.owner ORDER BY j.owner LIMIT 1)
        FROM line WHERE line.owner IS NOT NULL
    ), taken AS (
        SELECT owner, count(*) OVER () AS owners, (
            SELECT count(*) FROM (
                SELECT FROM jobs r WHERE r.owner = line.owner AND r.status = 'running' LIMIT :places) AS counted
        ) + (
            SELECT count(*) FROM (
                SELECT FROM jobs r WHERE r.owner = line.owner AND r.status = 'queued' AND r.due_at > now()
                LIMIT :places) AS counted
        ) AS n
        FROM line WHERE owner IS NOT NULL
    ), candidate AS (
        SELECT w.id, w.due_at, t.n, row_number() OVER (PARTITION BY t.owner ORDER BY w.due_at, w.id) AS rank
        FROM taken t CROSS JOIN LATERAL (
            SELECT j.id, j.due_at FROM jobs j
            WHERE j.owner = t.owner AND j.status = 'queued' AND j.due_at <= now()
            ORDER BY j.due_at LIMIT least(greatest(:places - t.n, 0), greatest(:limit / t.owners, 1))) AS w
    ), fed AS (
        SELECT id, n + rank <= :front_jobs AS is_front, rank, due_at FROM candidate ORDER BY rank, due_at LIMIT :limit
    ), turn AS (
        SELECT j.id FROM jobs j JOIN fed USING (id)
        WHERE j.status = 'queued' AND j.due_at <= now()
        ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED
    ), rung AS (
        UPDATE jobs j
        SET rings = least(j.rings + 1, 5), due_at = now() + make_interval(secs => :grace * 2 ^ least(j.rings, 5))
        FROM turn WHERE j.id = turn.id
        RETURNING j.id
    )
    SELECT id, is_front FROM rung JOIN fed USING (id) ORDER BY rank, due_at
    """
).bindparams(bindparam("places", type_=Integer), bindparam("limit", type_=Integer))

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

    One that `waits` is in the backlog at once; for any other the broker is expected to be rung.
    A row whose `(owner, idempotency_key)` is taken is left out: look it up with `by_idempotency_key`.
    """
    return _INSERT.bindparams(rows=rows, grace=grace.total_seconds())


def by_idempotency_key(owner: str, key: str) -> Select[Any]:
    return select(jobs).where(jobs.c.owner == owner, jobs.c.idempotency_key == key)


def count_by_owner() -> Select[Any]:
    """`(owner, queued, running)` of the live jobs."""
    return (
        select(
            jobs.c.owner,
            func.count().filter(jobs.c.status == "queued").label("queued"),
            func.count().filter(jobs.c.status == "running").label("running"),
        )
        .where(jobs.c.status.in_(["queued", "running"]))
        .group_by(jobs.c.owner)
    )


def any_one() -> Select[Any]:
    """The cheapest statement that needs our tables to be there."""
    return select(jobs.c.id).limit(1)


def overdue() -> Select[Any]:
    """`seconds`: for how long a running job has been due for a ring, 0 if none is. Queued ones wait their turn."""
    late = func.extract("epoch", func.now() - func.min(jobs.c.due_at))
    return select(func.greatest(func.coalesce(late, 0), 0).label("seconds")).where(jobs.c.status == "running")


def with_calls(ids: list[UUID]) -> Select[Any]:
    """Jobs with all their calls, payloads included: what a replay or a document needs."""
    return _WITH_CALLS.params(ids=ids)


def begin_rounds(asked: list[dict[str, Any]], grace: timedelta, places: int = UNBOUNDED) -> TextClause:
    """Open the next round of each job and insert its calls; returns `(job_id, is_front)` a call of those that won.

    Compare and set on `(round, pending = 0)`: of two advances of one job, one gets rows. A job whose owner
    has `places` jobs at work does not begin, and goes back to the backlog. Two statements at once may
    each give away the last places: an owner can get past its bound by as many as one batch holds.
    """
    return _BEGIN_ROUNDS.bindparams(
        calls=asked, grace=grace.total_seconds(), places=places, front_jobs=min(FRONT_JOBS, places)
    )


def finish(rows: list[dict[str, Any]], grace: timedelta = GRACE) -> TextClause:
    """End jobs whose current round is complete; returns `(id, has_ended)`.

    Besides those that were still running (`has_ended`) these are the next of their owners' backlogs, at most
    one for each that ended: they are the caller's to advance, and the sweep's after `grace`.
    """
    return _FINISH.bindparams(rows=rows, grace=grace.total_seconds())


def cancel(job_id: UUID) -> TextClause:
    """End a job by its owner's wish; no row if it had ended. Follow with `calls.cancel`."""
    return _CANCEL.bindparams(id=job_id)


def ring_due(limit: int, grace: timedelta) -> TextClause:
    """The running jobs to ring for now. Each ring doubles the wait for the next, up to 32 times `grace`."""
    return _RING_DUE.bindparams(limit=limit, grace=grace.total_seconds())


def feed(limit: int, grace: timedelta, places: int = UNBOUNDED) -> TextClause:
    """The queued jobs to ring for now: `(id, is_front)`, in the order of their turns.

    Everybody's oldest one before anybody's second, and of each owner no more than it has of `places` left.
    Each ring doubles the wait for the next, as with `ring_due`.
    """
    return _FEED.bindparams(limit=limit, grace=grace.total_seconds(), places=places, front_jobs=min(FRONT_JOBS, places))


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


def remove(job_id: UUID) -> ReturningDelete[Any]:
    """Delete an ended job with its calls; no row if it runs."""
    return delete(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(TERMINAL)).returning(jobs.c.id)


def count_by_status() -> Select[Any]:
    """`(status, n)` of the live jobs only: a scrape must not count a million finished ones."""
    return select(jobs.c.status, func.count()).where(jobs.c.status.in_(["queued", "running"])).group_by(jobs.c.status)
