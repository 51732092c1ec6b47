"""The statements of retention: what has ended long enough ago, counted and removed.

`usage` refers to nothing and stays: a removed job was paid for all the same.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Interval, Select, TextClause, bindparam, func, select, text

from common.database.tables import jobs

# Each batch begins where the one before ended: what that one deleted stays in the index until the next vacuum, and
# each batch would walk past all of it. Calls go with their jobs, by the foreign key.
_REMOVE = text(
    """
    WITH old AS (
        SELECT id FROM jobs
        WHERE finished_at < now() - :age AND finished_at >= :since
        ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    DELETE FROM jobs j USING old WHERE j.id = old.id
    RETURNING j.id, j.total, j.finished_at
    """
).bindparams(bindparam("age", type_=Interval), bindparam("since", type_=DateTime(timezone=True)))


def count_older(age: timedelta) -> Select[Any]:
    """`n`: the jobs that ended longer ago than `age`."""
    return select(func.count().label("n")).where(jobs.c.finished_at < func.now() - age)


def remove_older(age: timedelta, since: datetime, limit: int) -> TextClause:
    """Delete up to `limit` of the jobs that ended longer ago than `age`, not before `since`, oldest first.

    Returns `(id, total, finished_at)` of each; `total` calls went with it. Fewer than `limit` rows mean that
    no more are left, but for those that somebody else is removing.
    """
    return _REMOVE.bindparams(age=age, since=since, limit=limit)
