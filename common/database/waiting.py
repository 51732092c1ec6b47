"""How long work has waited for a worker, told from the rows.

A row does not say when it was rung for first, but when it will be rung for again: each ring moves `due_at`, by
twice what the one before did. So the first ring is that many doublings back. After five rings the wait grows
no more, and what is known is only that it is longer than that: such a row is as old as its beginning.
Rows that wait for something else are left out: jobs for their turn, calls for the time of their next attempt, and
calls on which workers fell silent, which may have to run alone.
"""

from datetime import timedelta

from sqlalchemy import TextClause, text

_OLDEST = text(
    """
    WITH call AS (
        SELECT c.queue,
               CASE WHEN c.rings < 5
                    THEN c.due_at - make_interval(secs => :grace * (2 ^ c.rings - (c.attempt > 0)::int))
                    ELSE coalesce(c.started_at, (SELECT j.started_at FROM jobs j WHERE j.id = c.job_id))
               END AS since
        FROM calls c
        WHERE c.status = 'queued' AND c.silences = 0 AND (c.attempt = 0 OR c.rings > 0)
    ), job AS (
        SELECT CASE WHEN j.rings < 5
                    THEN j.due_at - make_interval(
                        secs => :grace * greatest(2 ^ j.rings - (j.status = 'queued')::int, 1))
                    ELSE coalesce(j.started_at, j.created_at)
               END AS since
        FROM jobs j
        WHERE j.status = 'running' AND j.due_at IS NOT NULL
           OR j.status = 'queued' AND (j.rings > 0 OR j.due_at > now())
    ), waiting AS (
        SELECT queue, since FROM call UNION ALL SELECT 'control', since FROM job
    )
    SELECT queue, greatest(extract(epoch FROM now() - min(since)), 0)::float AS seconds FROM waiting GROUP BY queue
    """
)


def oldest(grace: timedelta) -> TextClause:
    """`(queue, seconds)` of the queues for which something waits: for how long its oldest row has.

    Calls wait in the queue of their model, jobs to be advanced in `control`. Both were rung for, so either the
    message is still in the broker or it was lost; either way no worker has come.
    """
    return _OLDEST.bindparams(grace=grace.total_seconds())
