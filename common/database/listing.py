"""Lists of jobs: a page takes milliseconds, however many jobs there are and however few of them are wanted.

Without a filter, or with a status that few have, a page is a stretch of an index. A kind or a model would need
an index over every job, which each submission paid for and few lists used. So a page by these filters what it
walks past, and walks past `WALK` jobs at most: it may end short, even empty, and still tell where the next
one begins (https://google.aip.dev/158).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, cast, func, literal, literal_column, null, select, union_all
from sqlalchemy.sql.selectable import CompoundSelect

from common.contracts.jobs import JobStatus
from common.database.tables import jobs
from common.fleet.operations import RUN, STOP

# 5 to 10 ms of looking.
WALK = 10_000
OPERATIONS = (RUN, STOP)
_COLUMNS = [
    jobs.c[name]
    for name in ("id", "kind", "status", "models", "total", "pending", "created_at", "started_at", "finished_at")
]


class Page(NamedTuple):
    """Jobs, newest first. The next page lies below `end`; None if there is none."""

    rows: list[Any]
    end: UUID | None


def page(
    *,
    owner: str | None,
    before: UUID | None,
    limit: int,
    status: JobStatus | None = None,
    kind: str | None = None,
    model: str | None = None,
    walk: int = WALK,
) -> "Select[Any] | CompoundSelect[Any]":
    """Newest first, no payloads, from just below `before`; `owner` None sees everybody's. `cut` makes a page of it."""
    # Operations on models have a place of their own. There are few, so none is walked past for long.
    place: list[ColumnElement[bool]] = [jobs.c.kind.not_in(OPERATIONS)]
    if owner is not None:
        place.append(jobs.c.owner == owner)
    if before is not None:
        place.append(jobs.c.id < before)
    # No index holds the completed ones: they are nearly all there are. The other statuses have theirs, and
    # stand in the statement literally, for Postgres picks a partial index only where it can see that it serves.
    if status is not None and status != "completed":
        place.append(jobs.c.status == literal(status, literal_execute=True))
    if kind is None and model is None and status != "completed":
        return select(*_COLUMNS).where(*place).order_by(jobs.c.id.desc()).limit(limit + 1)
    stretch = select(*_COLUMNS).where(*place).order_by(jobs.c.id.desc()).limit(_number(walk)).subquery("stretch")
    wanted: list[ColumnElement[bool]] = []
    if status == "completed":
        wanted.append(stretch.c.status == status)
    if kind is not None:
        wanted.append(stretch.c.kind == kind)
    if model is not None:
        wanted.append(stretch.c.models.contains([{"id": model}]))
    found = select(stretch).where(*wanted).order_by(stretch.c.id.desc()).limit(limit + 1).cte("found")
    # Looked up only if the stretch came to its end before the page did.
    is_short = select(func.count()).select_from(found).scalar_subquery() <= limit
    end = (
        select(jobs.c.id, *(cast(null(), column.type).label(column.name) for column in _COLUMNS[1:]))
        .where(*place, is_short)
        .order_by(jobs.c.id.desc())
        .offset(_number(walk - 1))
        .limit(_number(1))
        .subquery("stretch_end")
    )
    both = union_all(select(found), select(end))
    return both.order_by(both.selected_columns.id.desc(), both.selected_columns.kind.nulls_last())


def cut(rows: Sequence[Any], limit: int) -> Page:
    """The page that these rows of `page` make: there is one more of them if there is a next page.

    A row without a kind is no job but the end of the stretch that was looked at.
    """
    found = [row for row in rows if row["kind"] is not None]
    if len(found) > limit:
        return Page(found[:limit], found[limit - 1]["id"])
    return Page(found, rows[-1]["id"] if len(found) < len(rows) else None)


def _number(value: int) -> ColumnElement[int]:
    """A constant of the statement: the planner should know it."""
    return literal_column(str(value))
