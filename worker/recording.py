"""What becomes of a claimed call, written to Postgres and told to those who watch its job."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from common.contracts.calls import Answer
from common.database.faults import is_of_a_row
from common.events import EventSink
from worker.leases import Held
from worker.patience import patiently
from worker.store import Claim, Ending, Store
from worker.trip import Trip

logger = logging.getLogger(__name__)


class Recorder:
    """Writes as whoever holds the claim, and only what Postgres took is told. `ring` tells the broker of a call."""

    def __init__(self, store: Store, events: EventSink, ring: Callable[[str, str], Awaitable[None]]) -> None:
        self._store = store
        self._events = events
        self._ring = ring

    async def finish(self, held: Held, answer: Answer) -> int | None:
        """Record the call's result; returns the calls that its round still waits for, None if it did not count."""
        held.begin_writing()
        claim = held.claim
        ending = Ending(claim.call_id, claim.attempt, answer.status, answer)
        try:
            pending, is_repeated = await patiently(lambda: self._store.finish_call(ending))
            if pending is None and is_repeated:
                pending, _ = await patiently(lambda: self._store.recorded(ending))
        except (SQLAlchemyError, OSError) as error:
            if is_of_a_row(error):
                raise
            logger.error("result of call %s given up, it will be run again: %s", claim.call_id, error)  # noqa: TRY400
            return None
        if pending is None:
            logger.warning("late result of call %s, attempt %d, refused", claim.call_id, claim.attempt)
            return None
        name = "call.finished" if answer.is_ok else "call.failed"
        self._events.append(
            claim.job_id,
            name,  # type: ignore[arg-type]  # one of two literals
            {"call": str(claim.call_id), "model": claim.model, "answer": answer.model_dump(mode="json")},
        )
        return pending

    async def renew(self, trip: Trip) -> bool:
        """Draw the token of the next upstream request; False if the call is no longer ours."""
        trip.held.begin_writing()
        claim = await self._store.renew(trip.claim, trip.route(trip.entry))
        if claim is None:
            return False
        trip.held.renew(claim)
        trip.has_asked = False
        self._take_back(claim, claim.attempt)
        return True

    async def retries(self, job_id: UUID) -> int:
        """How often calls of the job were tried again so far."""
        retries, _ = await patiently(lambda: self._store.retries(job_id))
        return retries

    async def hand_on(self, trip: Trip, queue: str, delay_seconds: float) -> None:
        """Back into a queue, for the trip's model, durably: no thread waits, and a killed worker forgets nothing."""
        route = trip.route(trip.entry).model_dump(mode="json")
        row = _released(trip.claim, delay_seconds) | {"queue": queue, "route": route}
        is_released, _ = await patiently(lambda: self._store.release([row]))
        if is_released and trip.has_asked:
            self._take_back(trip.claim, trip.claim.attempt + 1)
        if is_released and delay_seconds == 0:
            await self._ring(str(trip.claim.call_id), queue)

    async def give_back(self, claim: Claim) -> None:
        """Back into its queue as it is, for another worker."""
        try:
            if await self._store.release([_released(claim, 0)]):
                self._take_back(claim, claim.attempt + 1)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("call %s not released, its lease will run out: %s", claim.call_id, error)

    def _take_back(self, claim: Claim, attempt: int) -> None:
        """Tell watchers that what they saw of this call before that attempt counts no more."""
        self._events.append(claim.job_id, "call.reset", {"call": str(claim.call_id), "attempt": attempt})


def _released(claim: Claim, delay_seconds: float) -> dict[str, Any]:
    return {"id": str(claim.call_id), "attempt": claim.attempt, "delay": delay_seconds}
