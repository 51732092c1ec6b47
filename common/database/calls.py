"""The statements about calls: claim, heartbeat, finish, rescue.

Postgres' clock decides about leases, so a worker with a wrong clock can neither steal nor lose one.
The number of the claim (`attempt`) is the fencing token: a write that names an older one touches no row.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, INTEGER, JSONB

from common.database.tables import calls
from common.lanes import FRONT_CALLS

# Silences from which on a call is suspected to be what kills its workers, where nobody says.
NEVER = 1_000_000
# Of each queue, in one sweep. Few, so that a worker that becomes free finds the likeliest first.
SUSPECTS_RUNG = 4

# A suspect runs alone among its like: when its worker dies, it was this one, and not one of many beside it.
_CLAIM = text(
    """
    WITH free AS (
        SELECT c.id FROM calls c
        WHERE c.id = ANY(:ids)
          AND (c.status = 'queued' OR (c.status = 'running' AND c.lease_expires_at < now()))
          AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = c.job_id AND j.status = 'running')
          AND CASE WHEN c.silences < :suspicious THEN true ELSE c.id = (
              SELECT s.id FROM calls s
              WHERE s.id = ANY(:ids) AND s.status = 'queued' AND s.silences >= :suspicious AND NOT EXISTS (
                  SELECT FROM calls o
                  WHERE o.worker = :worker AND o.status = 'running' AND o.silences >= :suspicious)
              ORDER BY s.started_at DESC, s.id DESC LIMIT 1) END
        ORDER BY c.id FOR UPDATE SKIP LOCKED
    )
    UPDATE calls c
    SET status = 'running', attempt = c.attempt + 1, worker = :worker, due_at = NULL,
        lease_expires_at = now() + make_interval(secs => :lease), started_at = coalesce(c.started_at, now())
    FROM free WHERE c.id = free.id
    RETURNING c.id, c.job_id, c.attempt, c.model, c.request, c.route
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))

_HEARTBEAT = text(
    """
    WITH held AS (
        SELECT c.id FROM calls c JOIN unnest(:ids, :attempts) AS h(id, attempt) USING (id, attempt)
        WHERE c.status = 'running'
        ORDER BY c.id FOR UPDATE OF c
    )
    UPDATE calls c SET lease_expires_at = now() + make_interval(secs => :lease)
    FROM held WHERE c.id = held.id AND c.status = 'running'
    RETURNING c.id
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("attempts", type_=ARRAY(INTEGER)))

# Also used to dead-letter, by the sweep: the same transition, another author.
_FINISH = text(
    """
    WITH ending AS (
        SELECT * FROM jsonb_to_recordset(:rows) AS e(id uuid, attempt int, status text, answer jsonb)
    ), mine AS (
        SELECT c.id FROM calls c JOIN ending e USING (id)
        WHERE c.attempt = e.attempt AND c.status = 'running'
        ORDER BY c.id FOR UPDATE OF c
    ), done AS (
        UPDATE calls c
        SET status = e.status, answer = e.answer, finished_at = now(), lease_expires_at = NULL
        FROM ending e, mine m
        WHERE c.id = e.id AND c.id = m.id AND c.attempt = e.attempt AND c.status = 'running'
        RETURNING c.id, c.job_id, c.model, c.status
    ), tally AS (
        SELECT job_id, count(*)::int AS n FROM done GROUP BY job_id
    ), turn AS (
        SELECT j.id FROM jobs j JOIN tally t ON j.id = t.job_id ORDER BY j.id FOR NO KEY UPDATE OF j
    ), counted AS (
        UPDATE jobs j
        SET pending = j.pending - t.n,
            due_at = CASE WHEN j.pending = t.n AND j.status = 'running'
                          THEN now() + make_interval(secs => :grace) END
        FROM tally t, turn
        WHERE j.id = t.job_id AND j.id = turn.id
        RETURNING j.id, j.pending, j.owner, j.kind
    ), spent AS (
        INSERT INTO usage (
            call_id, owner, job_id, kind, model, served_by, provider, status, error_code, prompt_tokens,
            completion_tokens, cached_prompt_tokens, cost_usd, time_to_first_token_ms, latency_ms, attempts, cached)
        SELECT done.id, j.owner, j.id, j.kind, done.model, a.served_by, a.provider, done.status, a.error ->> 'code',
               (a.usage ->> 'prompt_tokens')::bigint, (a.usage ->> 'completion_tokens')::bigint,
               (a.usage ->> 'cached_prompt_tokens')::bigint, a.cost_usd, a.time_to_first_token_ms, a.latency_ms,
               coalesce(a.attempts, 0), coalesce(a.cached, false)
        FROM done JOIN counted j ON j.id = done.job_id JOIN ending e ON e.id = done.id,
             jsonb_to_record(e.answer) AS a(
                served_by text, provider text, error jsonb, usage jsonb, cost_usd numeric,
                time_to_first_token_ms float, latency_ms float, attempts int, cached boolean)
    )
    SELECT done.id,
           (counted.pending + row_number() OVER (PARTITION BY done.job_id ORDER BY done.id) - 1)::int AS pending
    FROM done JOIN counted ON counted.id = done.job_id
    """
).bindparams(bindparam("rows", type_=JSONB))

_RECORDED = text(
    """
    SELECT j.pending FROM calls c JOIN jobs j ON j.id = c.job_id
    WHERE c.id = :id AND c.attempt = :attempt AND c.status = :status
    """
)

_RELEASE = text(
    """
    WITH handed AS (
        SELECT c.id, h.delay, h.queue, h.route, h.silences
        FROM calls c JOIN jsonb_to_recordset(:rows) AS h(
            id uuid, attempt int, delay float, queue text, route jsonb, silences int) USING (id, attempt)
        WHERE c.status = 'running'
        ORDER BY c.id FOR UPDATE OF c
    )
    UPDATE calls c
    SET status = 'queued', lease_expires_at = NULL, worker = NULL, rings = 0,
        due_at = now() + make_interval(secs => h.delay),
        queue = coalesce(h.queue, c.queue), route = coalesce(h.route, c.route),
        silences = c.silences + coalesce(h.silences, 0)
    FROM handed h
    WHERE c.id = h.id AND c.status = 'running'
    RETURNING c.id
    """
).bindparams(bindparam("rows", type_=JSONB))

# The next upstream request of a call that stays where it is: a new token, so that each request has its own.
_RENEW = text(
    """
    UPDATE calls SET attempt = attempt + 1, route = :route
    WHERE id = :id AND attempt = :attempt AND status = 'running'
    RETURNING attempt
    """
).bindparams(bindparam("route", type_=JSONB))

# What upstreams made us repeat. Claims of workers that died are not among it: nobody pays with retries for those.
_RETRIES = text(
    """
    SELECT count(*)::int AS n FROM calls c, jsonb_array_elements(c.route -> 'history') AS met
    WHERE c.job_id = :job_id AND met ->> 'code' <> ALL (:free)
    """
).bindparams(bindparam("free", type_=ARRAY(Text)))

_CANCEL = text(
    """
    WITH live AS (
        SELECT id FROM calls WHERE job_id = :job_id AND status IN ('queued', 'running')
        ORDER BY id FOR UPDATE
    )
    UPDATE calls c SET status = 'cancelled', finished_at = now(), lease_expires_at = NULL, due_at = NULL
    FROM live WHERE c.id = live.id
    RETURNING c.id
    """
)

# Locked at once, all of them: the sweep writes to some and then to others, and waits for nobody in between.
_EXPIRED = text(
    """
    SELECT id, job_id, attempt, model, worker, silences FROM calls
    WHERE status = 'running' AND lease_expires_at < now()
    ORDER BY lease_expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)

# Of the suspects that wait the likeliest few are rung for, in each sweep until a worker has them. One that kills at
# once was among the last to begin. They are picked apart from the others, for they stay due and would crowd them out.
_RING_DUE = text(
    """
    WITH due AS (
        SELECT id, false AS is_suspect FROM calls
        WHERE status = 'queued' AND due_at <= now() AND silences < :suspicious
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), ranked AS (
        SELECT id, row_number() OVER (PARTITION BY queue ORDER BY started_at DESC, id DESC) AS place FROM calls
        WHERE status = 'queued' AND due_at <= now() AND silences >= :suspicious
    ), likeliest AS (
        SELECT c.id, true AS is_suspect FROM calls c JOIN ranked r USING (id)
        WHERE r.place <= :suspects AND c.status = 'queued'
        FOR UPDATE OF c SKIP LOCKED
    ), rung AS (
        UPDATE calls c
        SET rings = least(c.rings + 1, 5),
            due_at = CASE WHEN w.is_suspect THEN c.due_at
                          ELSE now() + make_interval(secs => :grace * 2 ^ least(c.rings, 5)) END
        FROM (SELECT * FROM due UNION ALL SELECT * FROM likeliest) AS w WHERE c.id = w.id
        RETURNING c.id, c.queue, c.job_id
    )
    SELECT r.id, r.queue, row_number() OVER (PARTITION BY j.owner ORDER BY r.id) <= :front_calls AS is_front
    FROM rung r JOIN jobs j ON j.id = r.job_id
    """
)

_PARDON = text(
    """
    WITH suspect AS (
        SELECT id FROM calls WHERE status IN ('queued', 'running') AND silences > 0
        ORDER BY id FOR UPDATE
    )
    UPDATE calls c SET silences = 0 FROM suspect s WHERE c.id = s.id
    """
)

# A job can end between a round's insert and a cancel's look at it; such calls are never claimed,
# and this tidies them away.
_ORPHANS = text(
    """
    WITH orphan AS (
        SELECT c.id FROM calls c JOIN jobs j ON j.id = c.job_id
        WHERE c.status = 'queued' AND c.due_at <= now() AND j.status NOT IN ('queued', 'running')
        ORDER BY c.id FOR UPDATE OF c SKIP LOCKED
    )
    UPDATE calls c SET status = 'cancelled', finished_at = now(), due_at = NULL
    FROM orphan WHERE c.id = orphan.id
    RETURNING c.id
    """
)


def claim(ids: Sequence[UUID], worker: str, lease: timedelta, suspicious: int = NEVER) -> TextClause:
    """Take queued calls, and those whose lease ran out; no row for one that somebody else has.

    Of the calls on which `suspicious` workers or more fell silent, a worker holds one at a time.
    Returns `(id, job_id, attempt, model, request, route)`.
    """
    return _CLAIM.bindparams(ids=list(ids), worker=worker, lease=lease.total_seconds(), suspicious=suspicious)


def heartbeat(held: Sequence[tuple[UUID, int]], lease: timedelta) -> TextClause:
    """Extend leases; returns the ids still held. One that is missing was lost or cancelled: stop it."""
    return _HEARTBEAT.bindparams(
        ids=[call_id for call_id, _ in held],
        attempts=[attempt for _, attempt in held],
        lease=lease.total_seconds(),
    )


def finish(rows: list[dict[str, Any]], grace: timedelta) -> TextClause:
    """Record results, count the fan-in and write down what was spent, in one commit.

    `rows` are `{id, attempt, status, answer}`. Returns `(id, pending)` for each result that counted;
    no row for one whose token is stale. `pending` counts down by one a result; the one that gets 0 has
    completed its round: the chord's body should fire, and the sweep rings after `grace` if it does not.
    """
    return _FINISH.bindparams(rows=rows, grace=grace.total_seconds())


def recorded(call_id: UUID, attempt: int, status: str) -> TextClause:
    """`pending` of the call's job, if this claim ended the call; no row if it did not."""
    return _RECORDED.bindparams(id=call_id, attempt=attempt, status=status)


def release(rows: list[dict[str, Any]]) -> TextClause:
    """Put calls back into the queue after `delay` seconds: a retry, a rescue, or a worker that stops.

    `rows` are `{id, attempt, delay, queue?, route?, silences?}`: another queue, what it met, a silence to count.
    """
    return _RELEASE.bindparams(rows=rows)


def renew(call_id: UUID, attempt: int, route: dict[str, Any]) -> TextClause:
    """Count another upstream request of a held call; returns its new `attempt`, no row if the call was lost."""
    return _RENEW.bindparams(id=call_id, attempt=attempt, route=route)


def retries(job_id: UUID, free: Collection[str]) -> TextClause:
    """`n`: what the job's calls met so far and tried again after, without the codes in `free`."""
    return _RETRIES.bindparams(job_id=job_id, free=list(free))


def cancel(job_id: UUID) -> TextClause:
    """Cancel what is left of a job's calls; their workers notice by message or at the next heartbeat."""
    return _CANCEL.bindparams(job_id=job_id)


def expired(limit: int) -> TextClause:
    """`(id, job_id, attempt, model, worker, silences)` of the calls whose worker fell silent, locked."""
    return _EXPIRED.bindparams(limit=limit)


def ring_due(limit: int, grace: timedelta, suspicious: int = NEVER) -> TextClause:
    """`(id, queue, is_front)` of the queued calls to ring for now; each ring doubles the wait for the next."""
    return _RING_DUE.bindparams(
        limit=limit,
        grace=grace.total_seconds(),
        front_calls=FRONT_CALLS,
        suspicious=suspicious,
        suspects=SUSPECTS_RUNG,
    )


def pardon() -> TextClause:
    """Suspect no call any more: the one that killed its workers was found. To be committed by itself."""
    return _PARDON


def cancel_orphans() -> TextClause:
    """Cancel queued calls of ended jobs."""
    return _ORPHANS


def count_by_status() -> Select[Any]:
    """`(queue, status, n)` of the live calls."""
    return (
        select(calls.c.queue, calls.c.status, func.count())
        .where(calls.c.status.in_(["queued", "running"]))
        .group_by(calls.c.queue, calls.c.status)
    )
