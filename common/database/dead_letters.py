"""The dead letters: calls that were given up. The condition is that of the index which holds nothing else."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal, select, text, tuple_

from common.database.tables import calls, jobs

_DEAD = text("calls.status = 'failed' AND calls.answer -> 'error' ->> 'code' = 'dead_lettered'")


def page(*, owner: str | None, before: tuple[datetime, UUID] | None, limit: int) -> Select[Any]:
    """`(job_id, id, kind, status, model, attempt, silences, finished_at, error)` of the calls, newest deaths first.

    From just below `before`, a time of death and a call's id; `owner` None sees everybody's. `status` is the job's.
    """
    statement = (
        select(
            calls.c.job_id,
            calls.c.id,
            jobs.c.kind,
            jobs.c.status,
            calls.c.model,
            calls.c.attempt,
            calls.c.silences,
            calls.c.finished_at,
            calls.c.answer["error"].label("error"),
        )
        .join(jobs, jobs.c.id == calls.c.job_id)
        .where(_DEAD)
        .order_by(calls.c.finished_at.desc(), calls.c.id.desc())
        .limit(limit)
    )
    if owner is not None:
        statement = statement.where(jobs.c.owner == owner)
    if before is not None:
        statement = statement.where(tuple_(calls.c.finished_at, calls.c.id) < tuple_(*map(literal, before)))
    return statement
