"""The engine's hot statements, gathered into batches: one round trip for what comes in together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Executable
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from common.batching import Batcher
from common.contracts.calls import Answer, Call, CallStatus
from common.counters import Count
from common.database import calls as call_statements
from common.database import jobs as job_statements
from common.database.bounded import STATEMENT_SECONDS, bounded
from common.database.faults import is_of_a_row
from common.lanes import Lane, lane_of
from common.routing import COSTS_NO_RETRY, Route
from worker.counters import Tally

# A round's calls arrive within a few milliseconds of each other; waiting for them halves the round trips.
LINGER_SECONDS = 0.002

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A call that is ours until its lease runs out. `attempt` is the fencing token of every write."""

    call_id: UUID
    job_id: UUID
    attempt: int
    model: str
    call: Call
    route: Route


@dataclass(frozen=True, slots=True)
class Ending:
    """What a claimed call came to."""

    call_id: UUID
    attempt: int
    status: CallStatus
    answer: Answer


@dataclass(frozen=True, slots=True)
class Ended:
    """A job has ended, and another one of its owner may begin, if one waited."""

    next_job_id: UUID | None = None


class Store:
    """Reads and writes of jobs and calls. Belongs to one event loop.

    `places`: jobs that one owner may have at work. On `suspicious` silences a call runs alone among its like.
    `tally` counts claims, and what was refused.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        worker: str,
        lease: timedelta,
        grace: timedelta,
        places: int = job_statements.UNBOUNDED,
        suspicious: int = call_statements.NEVER,
        tally: Tally | None = None,
    ) -> None:
        self._engine = engine
        self._suspicious = suspicious
        self._tally = Tally() if tally is None else tally
        self._worker = worker
        self._lease = lease
        self._grace = grace
        self._places = places
        self._claims: Batcher[UUID, Claim | None] = Batcher(self._claim_all, linger_seconds=LINGER_SECONDS)
        self._endings: Batcher[Ending, int | None] = Batcher(
            self._finish_all, linger_seconds=LINGER_SECONDS, is_of_one=is_of_a_row
        )
        self._rounds: Batcher[list[dict[str, Any]], Lane | None] = Batcher(
            self._begin_all, max_items=50, is_of_one=is_of_a_row
        )
        self._outcomes: Batcher[dict[str, Any], Ended | None] = Batcher(
            self._end_all, max_items=50, is_of_one=is_of_a_row
        )
        self._loads: Batcher[UUID, RowMapping | None] = Batcher(self._load_all, max_items=50)

    async def claim(self, call_id: UUID) -> Claim | None:
        """Take the call, or None: somebody has it, it is done, or its job has ended."""
        return await self._claims.submit(call_id)

    async def finish_call(self, ending: Ending) -> int | None:
        """Record a result; returns the calls its round still waits for, or None if the token was stale."""
        return await self._endings.submit(ending)

    async def recorded(self, ending: Ending) -> int | None:
        """For a result whose reply was lost: as `finish_call`, if it is this one that is recorded."""
        statement = call_statements.recorded(ending.call_id, ending.attempt, ending.status)
        rows = await self.fetch(statement)
        return int(rows[0]["pending"]) if rows else None

    async def load_job(self, job_id: UUID) -> RowMapping | None:
        """The job's row with its `calls`."""
        return await self._loads.submit(job_id)

    async def begin_round(self, asked: list[dict[str, Any]]) -> Lane | None:
        """Insert a job's next round; None if another advance was first, or its owner has enough at work."""
        return await self._rounds.submit(asked)

    async def finish_job(self, ending: dict[str, Any]) -> Ended | None:
        """Write a job's outcome; None if it had ended already."""
        return await self._outcomes.submit(ending)

    async def release(self, rows: list[dict[str, Any]]) -> set[UUID]:
        """Hand claimed calls back to the queue; returns those that were still ours."""
        return {row["id"] for row in await self.fetch(call_statements.release(rows))}

    async def renew(self, claim: Claim, route: Route) -> Claim | None:
        """The claim with the token of its next upstream request, or None: it was lost."""
        statement = call_statements.renew(claim.call_id, claim.attempt, route.model_dump(mode="json"))
        rows = await self.fetch(statement)
        return replace(claim, attempt=rows[0]["attempt"], route=route) if rows else None

    async def retries(self, job_id: UUID) -> int:
        """How often calls of the job were tried again so far, for what their servers did."""
        return int((await self.fetch(call_statements.retries(job_id, COSTS_NO_RETRY)))[0]["n"])

    async def heartbeat(self, held: Sequence[tuple[UUID, int]], *, seconds: float) -> set[UUID]:
        """Extend the leases of `(call_id, attempt)`; returns the calls still held. Raises what `fetch` raises."""
        return {row["id"] for row in await self.fetch(call_statements.heartbeat(held, self._lease), seconds=seconds)}

    async def fetch(self, statement: Executable, *, seconds: float = STATEMENT_SECONDS) -> Sequence[RowMapping]:
        """Run one statement in a commit of its own and return its rows.

        Raises:
            SQLAlchemyError, OSError: Postgres refused it, is away, or did not answer within `seconds`.
        """
        return await bounded(self._fetch(statement), seconds)

    async def _fetch(self, statement: Executable) -> Sequence[RowMapping]:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).mappings().all()

    async def _claim_all(self, ids: Sequence[UUID]) -> list[Claim | None]:
        rows = await self.fetch(call_statements.claim(ids, self._worker, self._lease, self._suspicious))
        claims = {row["id"]: _claim(row) for row in rows}
        self._tally[Count.CLAIMS] += len(claims)
        self._tally[Count.DUPLICATE_CLAIMS] += len(ids) - len(claims)
        # pop: of two deliveries of one call in one batch, one gets the claim
        return [claims.pop(call_id, None) for call_id in ids]

    async def _finish_all(self, endings: Sequence[Ending]) -> list[int | None]:
        rows = [
            {
                "id": str(ending.call_id),
                "attempt": ending.attempt,
                "status": ending.status,
                "answer": ending.answer.model_dump(mode="json"),
            }
            for ending in endings
        ]
        counted = await self.fetch(call_statements.finish(rows, self._grace))
        pending = {row["id"]: row["pending"] for row in counted}
        self._tally[Count.STALE_RESULTS] += len(endings) - len(pending)
        return [pending.get(ending.call_id) for ending in endings]

    async def _begin_all(self, rounds: Sequence[list[dict[str, Any]]]) -> list[Lane | None]:
        # Two advances of one job in one batch would insert its round twice: the first one asks.
        by_job = {asked[0]["job_id"]: asked for asked in reversed(rounds)}
        asked_now = [call for asked in by_job.values() for call in asked]
        rows = await self.fetch(job_statements.begin_rounds(asked_now, self._grace, self._places))
        lanes = {str(row["job_id"]): lane_of(row["is_front"]) for row in rows}
        return [lanes.get(asked[0]["job_id"]) if by_job[asked[0]["job_id"]] is asked else None for asked in rounds]

    async def _end_all(self, endings: Sequence[dict[str, Any]]) -> list[Ended | None]:
        by_job = {ending["id"]: ending for ending in reversed(endings)}
        rows = await self.fetch(job_statements.finish(list(by_job.values()), self._grace))
        won = {str(row["id"]) for row in rows if row["has_ended"]}
        # Whoever of an owner's jobs has ended, its next one may begin: it does not matter who takes it along.
        following = iter([row["id"] for row in rows if not row["has_ended"]])
        return [
            Ended(next(following, None)) if ending["id"] in won and by_job[ending["id"]] is ending else None
            for ending in endings
        ]

    async def _load_all(self, ids: Sequence[UUID]) -> list[RowMapping | None]:
        rows = await self.fetch(job_statements.with_calls(list(set(ids))))
        by_id = {row["id"]: row for row in rows}
        return [by_id.get(job_id) for job_id in ids]


def _claim(row: RowMapping) -> Claim | None:
    """None for a call that another version wrote and this one cannot read.

    Its lease runs out, and another worker may try; once as many as may have tried, it is given up.
    """
    try:
        call, route = Call(**row["request"]), Route(**row["route"] or {})
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        logger.error("call %s is not for this version: %s", row["id"], faults)  # noqa: TRY400  # it may quote a prompt
        return None
    return Claim(row["id"], row["job_id"], row["attempt"], row["model"], call, route)
