"""Running one call: claim it, ask the models of its chain, have recorded what came back."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Answer, ErrorDetail
from common.database.faults import is_of_a_row
from common.errors import AppError, InstanceGone, NotStarted
from common.events import EventSink
from common.fleet.queues import own_queue
from common.fleet.refusals import MAX_REFUSALS
from common.routing import (
    PREFERENCE,
    RETRYABLE,
    Ask,
    GiveUp,
    Step,
    Wait,
    chain_of,
    first,
    has_local_alternative,
    met,
    next_step,
    offline,
    passed_over,
)
from common.upstreams import Upstreams
from worker.asking import Asker, milliseconds_since
from worker.leases import Held, Leases
from worker.recording import Recorder
from worker.store import Claim, Store
from worker.trip import Trip

# Calls of this process that wait for their model without a thread; those beyond wait with one.
MAX_ALONE = 1000

logger = logging.getLogger(__name__)


async def _leave_to_the_sweep(_: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a call is. `max_attempts` is for one model, `job_retries` for all calls of a job together."""

    max_attempts: int
    job_retries: int
    prefer: str | None = None


class CallRunner:
    """Runs calls on the loop. A call is recorded once, however often it was delivered.

    `queues` are those this worker consumes, `queue_of` says to which one a model's calls belong: a call whose next
    model belongs elsewhere moves there, and `ring` tells the broker at once. `ring_job` tells of the job of a call
    that has ended without a thread.
    """

    def __init__(
        self,
        store: Store,
        leases: Leases,
        catalog: Callable[[], Catalog],
        asker: Asker,
        upstreams: Upstreams,
        events: EventSink,
        limits: Limits,
        *,
        queues: Sequence[str],
        ring: Callable[[str, str], Awaitable[None]],
        ring_job: Callable[[str], Awaitable[None]] = _leave_to_the_sweep,
        queue_of: Callable[[ModelEntry], str] = own_queue,
    ) -> None:
        self._store = store
        self._leases = leases
        self._catalog = catalog
        self._asker = asker
        self._upstreams = upstreams
        self._events = events
        self._limits = limits
        self._queues = frozenset(queues)
        self._recorder = Recorder(store, events, ring)
        self._ring_job = ring_job
        self._queue_of = queue_of
        self._alone: set[asyncio.Task[None]] = set()
        self.is_draining = False

    async def run(self, call_id: UUID) -> UUID | None:
        """Run the call if it is free; returns its job's id if its result completed the round.

        Returns None if the round waits for others, and if the call was taken, cancelled, put back or done.
        Never raises for what a model, its server, Redis or Postgres did.
        """
        try:
            claim = await self._store.claim(call_id)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("call %s not claimed, the sweep will ring again: %s", call_id, error)
            return None
        if claim is None:
            return None
        parted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        held = Held(claim, parted=parted)
        held.work = asyncio.create_task(self._work(held))
        self._leases.hold(held)
        try:
            await asyncio.wait({held.work, parted}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            held.work.cancel()
        if held.work.done() or not parted.done() or len(self._alone) >= MAX_ALONE:
            return await self._end(held, held.work)
        ending = asyncio.create_task(self._end_alone(held, held.work))
        self._alone.add(ending)
        ending.add_done_callback(self._alone.discard)
        return None

    async def drained(self) -> None:
        """Wait for the calls that no thread waits for; to be asked for once no call comes any more."""
        if not self.is_draining:
            self._leases.stop_all()
        await asyncio.gather(*self._alone, return_exceptions=True)

    async def _end(self, held: Held, work: "asyncio.Task[int | None]") -> UUID | None:
        try:
            pending = await work
        except asyncio.CancelledError:
            # by a stop the call is handed on; a claim that was lost is not ours to touch
            if self.is_draining:
                await self._recorder.give_back(held.claim)
            return None
        finally:
            self._leases.drop(held)
        return held.claim.job_id if pending == 0 else None

    async def _end_alone(self, held: Held, work: "asyncio.Task[int | None]") -> None:
        """See a call to its end that nobody waits for: its job is told by us."""
        job_id = await self._end(held, work)
        if job_id is not None:
            await self._ring_job(str(job_id))

    async def _work(self, held: Held) -> int | None:
        """Ask along the chain until there is something to record; returns the calls the round still waits for."""
        claim = held.claim
        try:
            return await self._travel(self._begin(held))
        except AppError as error:  # the model left the catalog
            answer = _failure(claim, error, attempts=claim.attempt - 1)
        except Exception as error:
            if isinstance(error, SQLAlchemyError | OSError) and not is_of_a_row(error):
                logger.warning("call %s left to the sweep, Postgres is away: %s", claim.call_id, error)
                return None
            logger.exception("call %s failed in our own code", claim.call_id)
            fault = AppError("The call failed in our own code; the worker's log says where.")
            answer = _failure(claim, fault, attempts=claim.attempt)
        return await self._recorder.finish(held, answer)

    def _begin(self, held: Held) -> Trip:
        """The chain, and where on it this claim begins."""
        claim = held.claim
        chain = chain_of(claim.call, self._catalog(), self._upstreams.stand_ins())
        history = list(claim.route.history)
        entry = chain.entry(claim.route.next)
        if entry is None:
            entry = first(chain, claim.call.routing.prefer or self._limits.prefer)
            if entry.id != chain.asked.id:
                history.append(passed_over(chain.asked, PREFERENCE, f"{entry.id} is preferred."))
        return Trip(held, chain, entry, history)

    async def _travel(self, trip: Trip) -> int | None:
        while True:
            if self._queue_of(trip.entry) not in self._queues:
                await self._hand_on(trip, 0)
                return None
            if await self._may_ask(trip):
                if trip.has_asked and not await self._recorder.renew(trip):
                    return None
                try:
                    answer = await self._ask(trip)
                except AppError as error:
                    await self._note_failure(trip, error)
                else:
                    return await self._recorder.finish(trip.held, answer)
            match await self._next_step(trip):
                case Ask(entry):
                    trip.entry = entry
                case Wait(entry, seconds):
                    trip.entry = entry
                    await self._hand_on(trip, seconds)
                    return None
                case GiveUp():
                    return await self._recorder.finish(trip.held, trip.given_up())

    async def _hand_on(self, trip: Trip, delay_seconds: float) -> None:
        await self._recorder.hand_on(trip, self._queue_of(trip.entry), delay_seconds)

    async def _may_ask(self, trip: Trip) -> bool:
        """Whether the trip's model may be asked now; if not, its history says why."""
        refusal = await self._upstreams.refusal(
            trip.entry, has_local_alternative=has_local_alternative(trip.chain, trip.history)
        )
        if refusal is not None:
            trip.history.append(refusal.attempt)
            trip.retry_after_seconds = refusal.seconds
        return refusal is None

    async def _ask(self, trip: Trip) -> Answer:
        trip.has_asked = True
        claim, entry = trip.claim, trip.entry
        started = {"call": str(claim.call_id), "model": claim.model, "asked": entry.id, "attempt": claim.attempt}
        self._events.append(claim.job_id, "call.started", started)
        trip.asked_at = time.perf_counter()
        try:
            answer = await self._answer(claim, entry)
        except asyncio.CancelledError:
            self._upstreams.unheard(entry)
            raise
        # a cached answer made no request
        if answer.cached:
            self._upstreams.unheard(entry)
        else:
            self._upstreams.answered(entry)
        return answer.model_copy(update={"attempts": trip.attempts - answer.cached, "history": trip.history})

    async def _answer(self, claim: Claim, entry: ModelEntry) -> Answer:
        """A container that was leaving has done nothing: the call is put again, as if it had never been."""
        for _ in range(MAX_REFUSALS - 1):
            with suppress(InstanceGone):
                return await self._asker.ask(claim, entry)
        return await self._asker.ask(claim, entry)

    async def _note_failure(self, trip: Trip, error: AppError) -> None:
        if isinstance(error, NotStarted):
            trip.has_asked = False
        trip.history.append(met(trip.entry, error, milliseconds_since(trip.asked_at) if trip.has_asked else None))
        trip.retry_after_seconds = error.retry_after_seconds
        await self._upstreams.failed(trip.entry, trip.claim.call, error)
        if self._upstreams.is_offline_for(trip.entry) and has_local_alternative(trip.chain, trip.history):
            trip.history.append(offline(trip.entry))

    async def _next_step(self, trip: Trip) -> Step:
        is_retryable = trip.history[-1].code in RETRYABLE
        has_budget = is_retryable and await self._recorder.retries(trip.claim.job_id) < self._limits.job_retries
        step = next_step(
            trip.chain,
            trip.history,
            max_attempts=self._limits.max_attempts,
            has_budget=has_budget,
            retry_after_seconds=trip.retry_after_seconds,
        )
        last = trip.history[-1]
        logger.info("call %s: %s: %s; %s", trip.claim.call_id, last.model, last.message, _in_words(step))
        return step


def _in_words(step: Step) -> str:
    match step:
        case Ask(entry):
            return f"{entry.id} is asked"
        case Wait(entry, seconds):
            return f"{entry.id} is asked in {seconds:.1f} s"
        case GiveUp():
            return "given up"


def _failure(claim: Claim, error: AppError, *, attempts: int) -> Answer:
    """The end of a call that went wrong on our side."""
    return Answer(
        model=claim.model,
        status="failed",
        attempts=attempts,
        history=list(claim.route.history),
        error=ErrorDetail(code=error.code, message=error.message),
    )
