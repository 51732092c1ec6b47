"""From the model that was named to one that answers: the way of a request before its first token.

The decisions are those of the job plane, `common/routing.py`, with one difference: nobody is asked twice. Whoever
waits for a chat would rather hear of a fault soon, and clients' SDKs try again by themselves; what they cannot
do is ask somebody else, and that is done for them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from api.gateway.answers import Stream, Way, Whole
from api.gateway.asked import Asked
from api.gateway.faults import Fault
from api.gateway.ways import Ways
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Attempt, Call
from common.errors import AppError, InvalidInput, NotServed, Unavailable, Unsupported
from common.routing import (
    NOT_SERVED,
    PREFERENCE,
    Ask,
    Chain,
    chain_of,
    first,
    has_local_alternative,
    met,
    next_step,
    offline,
    passed_over,
)
from common.telemetry.port import NO_UPSTREAM_REQUEST, Telemetry, UpstreamRequest
from common.upstreams import Refusal, Upstreams

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Trip:
    """One request on its way. `entry` is the model that is asked now, and in the end the one that answered.

    `upstream` is the request to that model; who holds the trip ends it when the answer is over.
    """

    asked: Asked
    entry: ModelEntry
    named: ModelEntry
    attempts: int = 0
    waited_seconds: float = 0.0
    upstream: UpstreamRequest = NO_UPSTREAM_REQUEST
    history: list[Attempt] = field(default_factory=list)
    faults: list[tuple[ModelEntry, Fault]] = field(default_factory=list)

    def fault(self) -> Fault:
        """What the client is told if nobody answered: what the last model met that was asked in earnest.

        That a stand-in cannot do what was asked of another model is not what is wrong.
        """
        earnest = [
            fault
            for entry, fault in self.faults
            if entry is self.named or not isinstance(fault.error, Unsupported | InvalidInput)
        ]
        return (earnest or [fault for _, fault in self.faults])[-1]


class Travel:
    """Takes requests along their chains. Belongs to one event loop."""

    def __init__(
        self, catalog: Callable[[], Catalog], ways: Ways, upstreams: Upstreams, telemetry: Telemetry, prefer: str
    ) -> None:
        self._catalog = catalog
        self._ways = ways
        self._upstreams = upstreams
        self._telemetry = telemetry
        self._prefer = None if prefer == "none" else prefer

    def begin(self, asked: Asked) -> Trip:
        """The request's trip, at the model to be asked first.

        Raises:
            ModelNotFound: lists the nearest names.
        """
        entry = self._catalog().resolve(asked.model)
        trip = Trip(asked, entry, entry)
        if self._prefer is not None and asked.kind.has_stand_ins:
            trip.entry = first(self._chain(trip), self._prefer)
            if trip.entry is not entry:
                trip.history.append(passed_over(entry, PREFERENCE, f"{trip.entry.id} is preferred."))
        return trip

    async def whole(self, trip: Trip) -> Whole:
        """The whole answer of the first that has one.

        Raises:
            Fault: nobody has.
        """
        answer = await self._answer(trip, lambda way: way.whole)
        trip.waited_seconds += answer.waited_seconds
        return answer

    async def stream(self, trip: Trip) -> Stream:
        """The answer of the first that begins one.

        Raises:
            Fault: nobody does.
        """
        answer = await self._answer(trip, lambda way: way.stream)
        trip.waited_seconds += answer.waited_seconds
        return answer

    async def broke_off(self, trip: Trip, fault: Fault) -> None:
        """A stream that had begun broke off: that speaks against its server as much as one that never did."""
        await self._upstreams.failed(trip.entry, _call(trip), fault.error)

    async def _answer(
        self, trip: Trip, asking: Callable[[Way], Callable[[Asked, ModelEntry], Awaitable[Answer]]]
    ) -> Answer:
        while True:
            entry = trip.entry
            refusal = await self._refusal(trip)
            if refusal is not None:
                self._pass_over(trip, refusal)
            else:
                asked = trip.asked
                trip.attempts += 1
                trip.upstream = self._telemetry.upstream_request(
                    asked.kind.operation, entry, is_streamed=asked.is_streamed
                )
                started = time.perf_counter()
                try:
                    answer = await asking(self._ways.to(entry))(asked, entry)
                except (Fault, AppError) as error:
                    await self._note(trip, error, time.perf_counter() - started)
                except asyncio.CancelledError:
                    self._upstreams.unheard(entry)
                    raise
                else:
                    self._upstreams.answered(entry)
                    return answer
            self._go_on(trip)

    async def _refusal(self, trip: Trip) -> Refusal | None:
        # the chain is looked at only where it matters: most requests never need it
        is_offline = self._upstreams.is_offline_for(trip.entry)
        has_local = is_offline and has_local_alternative(self._chain(trip), trip.history)
        return await self._upstreams.refusal(trip.entry, has_local_alternative=has_local)

    def _pass_over(self, trip: Trip, refusal: Refusal) -> None:
        attempt = refusal.attempt
        trip.history.append(attempt)
        kind = NotServed if attempt.code == NOT_SERVED else Unavailable
        trip.faults.insert(0, (trip.entry, Fault(kind(attempt.message, retry_after_seconds=refusal.seconds))))

    async def _note(self, trip: Trip, error: Fault | AppError, seconds: float) -> None:
        entry, fault = trip.entry, error if isinstance(error, Fault) else Fault(error)
        trip.upstream.end(error=fault.error.code)
        trip.waited_seconds += seconds
        trip.faults.append((entry, fault))
        trip.history.append(met(entry, fault.error, round(seconds * 1000, 1)))
        if fault is error:
            await self._upstreams.failed(entry, _call(trip), fault.error)
        else:  # of ours: the request was wrong, or there was no place for it
            self._upstreams.unheard(entry)
        if self._upstreams.is_offline_for(entry) and has_local_alternative(self._chain(trip), trip.history):
            trip.history.append(offline(entry))

    def _go_on(self, trip: Trip) -> None:
        """Move the trip to the next model.

        Raises:
            Fault: there is none.
        """
        if not trip.asked.kind.has_stand_ins:
            raise trip.fault()
        step = next_step(self._chain(trip), trip.history, max_attempts=1, has_budget=False)
        if not isinstance(step, Ask):
            raise trip.fault()
        trip.entry = step.entry

    def _chain(self, trip: Trip) -> Chain:
        return chain_of(_call(trip), self._catalog(), self._upstreams.stand_ins())


def _call(trip: Trip) -> Call:
    return Call(model=trip.named.id, messages=())
