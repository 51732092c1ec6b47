"""How jobs ended, from Postgres: the documents that close their channels, and what a lost stream would have said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import orjson
from pydantic_core import to_json

from api.database import Database, Row
from api.events.channel import Finish
from common import documents
from common.batching import Batcher
from common.contracts.jobs import TERMINAL
from common.database import jobs

CALL_EVENTS = {"completed": "call.finished", "failed": "call.failed"}


@dataclass(frozen=True, slots=True)
class Ending:
    """A job that ended: its finish, and the end of each of its calls as `(call, event, data)`, in order."""

    finish: Finish
    calls: tuple[tuple[str, str, bytes], ...]


class EndingSource(Protocol):
    """Knows which jobs have ended, and how. Both methods raise `DependencyDown`."""

    async def load(self, job_id: str) -> Ending | None:
        """How a job ended; None if it was deleted.

        Raises:
            StillRunning: it has not.
        """
        ...

    async def find_ended(self, job_ids: Sequence[str]) -> set[str]:
        """Those of the jobs that have ended or were deleted."""
        ...


class StillRunning(Exception):  # a state, not a fault
    """The job has not ended yet."""


class PostgresEndings:
    """An `EndingSource` that loads jobs which end together with one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loads: Batcher[str, Row | None] = Batcher(self._load_all, max_items=50)

    async def load(self, job_id: str) -> Ending | None:
        row = await self._loads.submit(job_id)
        if row is None:
            return None
        if row["status"] not in TERMINAL:
            raise StillRunning
        return Ending(Finish(to_json(documents.whole(row)), jobs.digest(row)), tuple(_calls(row)))

    async def find_ended(self, job_ids: Sequence[str]) -> set[str]:
        rows = await self._database.fetch(jobs.still_live([UUID(job_id) for job_id in job_ids]))
        return set(job_ids) - {str(row["id"]) for row in rows}

    async def _load_all(self, job_ids: Sequence[str]) -> list[Row | None]:
        rows = await self._database.fetch(jobs.with_calls([UUID(job_id) for job_id in set(job_ids)]))
        by_id = {str(row["id"]): row for row in rows}
        return [by_id.get(job_id) for job_id in job_ids]


def _calls(row: Mapping[str, Any]) -> Iterator[tuple[str, str, bytes]]:
    """The end of each call that has one. A cancelled call said nothing, nor does it here."""
    for call in row["calls"] or []:
        event = CALL_EVENTS.get(call["status"])
        if event is not None:
            said = {"call": call["id"], "model": call["model"], "answer": call["answer"]}
            yield call["id"], event, orjson.dumps(said)
