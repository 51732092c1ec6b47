"""The sweep: whatever the broker or a worker lost is found in Postgres and started again.

It runs in every control worker, and an advisory lock lets one at a time do it. No beat, so no single
process whose death stops recovery.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.background import keep_doing
from common.contracts.calls import Answer, ErrorDetail
from common.counters import Count
from common.database import calls, jobs
from common.database.bounded import bounded
from common.events import EventSink
from common.lanes import Lane, lane_of
from worker.counters import Tally

# Any number that nobody else uses: 'swee' in ASCII.
_SWEEP_LOCK = text("SELECT pg_try_advisory_xact_lock(1937204581)")
_NOW = text("SELECT now()")
# Rows a sweep; what is left is due still, a second later.
BATCH = 1000
# A dozen statements, none of which takes a second.
SWEEP_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Rings:
    """What to ring for in one lane: `(call_id, queue)` and job ids."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    job_ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """What to ring for, once the sweep has committed, and what was done about silent workers."""

    rings: dict[Lane, Rings] = field(default_factory=lambda: {lane: Rings() for lane in Lane})
    rescued: list[RowMapping] = field(default_factory=list)
    dead: list[RowMapping] = field(default_factory=list)
    counted: Tally = field(default_factory=Tally)


class Sweep:
    """Rescues calls of silent workers, buries those that keep killing them, and rings for all that is due.

    Of an owner's queued jobs those are due that have one of its `places` to begin in.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        events: EventSink,
        ring: Callable[[Found], None],
        *,
        grace: timedelta,
        max_attempts: int,
        interval_seconds: float,
        lease: timedelta = timedelta(0),
        places: int = jobs.UNBOUNDED,
        tally: Tally | None = None,
    ) -> None:
        self._engine = engine
        self._events = events
        self._ring = ring
        self._tally = Tally() if tally is None else tally
        self._grace = grace
        self._max_attempts = max_attempts
        self._suspicious = suspicious_from(max_attempts)
        self._interval_seconds = interval_seconds
        self._awakening = Awakening(lease)
        self._places = places

    async def keep(self) -> None:
        """Sweep for ever; Postgres being away only postpones it."""
        await keep_doing(self._sweep_and_ring, pause_seconds=self._interval_seconds)

    async def once(self) -> Found:
        """One sweep, committed. Returns what to ring for; nothing if another worker is sweeping.

        Raises:
            SQLAlchemyError, OSError: Postgres is away, or did not answer in time.
        """
        return await bounded(self._once(), SWEEP_SECONDS)

    async def _once(self) -> Found:
        async with self._engine.connect() as pooled:
            connection = await pooled.execution_options(isolation_level="READ COMMITTED")
            async with connection.begin():
                now: datetime = (await connection.execute(_NOW)).scalar_one()
                is_blaming = self._awakening.is_over(now)
                if not (await connection.execute(_SWEEP_LOCK)).scalar():
                    return Found()
                found = await self._sweep(connection, is_blaming=is_blaming)
        # only now: what is rolled back did not happen
        self._tally.update(found.counted)
        for call in found.rescued:
            logger.warning("worker %s fell silent, call %s is run again", call["worker"], call["id"])
            reset = {"call": str(call["id"]), "attempt": call["attempt"] + 1}
            self._events.append(call["job_id"], "call.reset", reset)
        for call in found.dead:
            logger.error("call %s given up: %d workers fell silent on it", call["id"], call["silences"] + 1)
            data = {"call": str(call["id"]), "model": call["model"], "answer": _given_up(call).model_dump()}
            self._events.append(call["job_id"], "call.failed", data)
        if found.dead:
            await self._pardon()
        return found

    async def _sweep_and_ring(self) -> None:
        try:
            found = await self.once()
            # Publishing blocks on the broker, so it has a thread; it comes after the commit, or a
            # worker could look before there is something to see.
            await asyncio.to_thread(self._ring, found)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("sweep failed, will try again: %s", error)

    async def _sweep(self, connection: AsyncConnection, *, is_blaming: bool) -> Found:
        found = Found()
        expired = (await connection.execute(calls.expired(BATCH))).mappings().all() if is_blaming else []
        await self._rescue(connection, expired, found)
        await self._bury(connection, expired, found)
        await connection.execute(calls.cancel_orphans())
        due_calls = (await connection.execute(calls.ring_due(BATCH, self._grace, self._suspicious))).all()
        for call_id, queue, is_front in due_calls:
            found.rings[lane_of(is_front)].calls.append((str(call_id), queue))
        due_jobs = (await connection.execute(jobs.ring_due(BATCH, self._grace))).all()
        found.rings[Lane.FRONT].job_ids += [str(job_id) for (job_id,) in due_jobs]
        fed = (await connection.execute(jobs.feed(BATCH, self._grace, self._places))).all()
        for job_id, is_front in fed:
            found.rings[lane_of(is_front)].job_ids.append(str(job_id))
        found.counted.update(
            {
                Count.SWEEPS: 1,
                Count.LEASE_EXPIRIES: len(expired),
                Count.RESCUES: len(found.rescued),
                Count.DEAD_LETTERS: len(found.dead),
                Count.SWEEP_CALL_RINGS: len(due_calls),
                Count.SWEEP_JOB_RINGS: len(due_jobs),
                Count.SWEEP_TURNS: len(fed),
            }
        )
        return found

    async def _rescue(self, connection: AsyncConnection, expired: Sequence[RowMapping], found: Found) -> None:
        rows = [
            {"id": str(call["id"]), "attempt": call["attempt"], "delay": 0, "silences": 1}
            for call in expired
            if call["silences"] + 1 < self._max_attempts
        ]
        if rows:
            released: set[UUID] = set((await connection.execute(calls.release(rows))).scalars())
            found.rescued = [call for call in expired if call["id"] in released]

    async def _bury(self, connection: AsyncConnection, expired: Sequence[RowMapping], found: Found) -> None:
        hopeless = [call for call in expired if call["silences"] + 1 >= self._max_attempts]
        if not hopeless:
            return
        rows = [
            {
                "id": str(call["id"]),
                "attempt": call["attempt"],
                "status": "failed",
                "answer": _given_up(call).model_dump(mode="json"),
            }
            for call in hopeless
        ]
        counted = {row.id: row.pending for row in await connection.execute(calls.finish(rows, self._grace))}
        found.dead = [call for call in hopeless if call["id"] in counted]
        found.rings[Lane.FRONT].job_ids += [str(call["job_id"]) for call in found.dead if counted[call["id"]] == 0]

    async def _pardon(self) -> None:
        """In a commit of its own: the sweep's has locked jobs by now, and calls are to be locked before jobs."""
        try:
            await bounded(self._forget_silences())
        except (SQLAlchemyError, OSError) as error:
            logger.warning("suspects not pardoned, they go on running one at a time: %s", error)

    async def _forget_silences(self) -> None:
        async with self._engine.connect() as connection:
            await connection.execute(calls.pardon())


class Awakening:
    """Whether a lease that ran out tells anything of its worker.

    A machine that slept, or a Postgres that was away, kept everybody's heartbeats: who looks first would take all
    calls from workers that are about to send one. So after a gap between two of our own looks, by Postgres' clock,
    workers are given half a lease: three beats make a whole one.
    """

    def __init__(self, lease: timedelta) -> None:
        self._patience = lease / 2
        self._last: datetime | None = None
        self._until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """To be asked at every look."""
        if self._last is not None and self._patience and now - self._last > self._patience:
            self._until = now + self._patience
        self._last = now
        return self._until is None or now >= self._until


def suspicious_from(max_attempts: int) -> int:
    """The number of silences from which on a call has one attempt left, which it makes alone among its like."""
    return max(1, max_attempts - 1)


def _given_up(call: RowMapping) -> Answer:
    message = f"{call['silences'] + 1} workers fell silent on this call; it will not be tried again."
    error = ErrorDetail(code="dead_lettered", message=message)
    return Answer(model=call["model"], status="failed", attempts=call["attempt"], error=error)
