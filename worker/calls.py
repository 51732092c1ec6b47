"""Running one call: claim it, ask the models of its chain, record what came back."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Answer, Attempt, ErrorDetail
from common.database.faults import is_of_a_row
from common.errors import AppError, InstanceGone, NotStarted
from common.events import EventSink
from common.fleet.queues import own_queue
from common.routing import (
    PREFERENCE,
    RETRYABLE,
    Ask,
    Chain,
    GiveUp,
    Route,
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
from worker.patience import patiently
from worker.store import Claim, Ending, Store

# Each time the model had been started anew, or its node had looked at it: more than this is no bad luck.
MAX_REFUSALS = 5
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


@dataclass(slots=True)
class Trip:
    """A claimed call on its way along its chain. `entry` is the model to ask now."""

    held: Held
    chain: Chain
    entry: ModelEntry
    history: list[Attempt]
    has_asked: bool = False  # since the claim's token was drawn
    asked_at: float = 0.0  # of time.perf_counter
    retry_after_seconds: float | None = None

    @property
    def claim(self) -> Claim:
        """The claim with its latest token."""
        return self.held.claim

    @property
    def attempts(self) -> int:
        """Upstream requests so far, those of workers that fell silent among them."""
        return self.claim.attempt - self._unsent

    def route(self, entry: ModelEntry) -> Route:
        """What is stored when the call goes on elsewhere, with this model."""
        return Route(history=tuple(self.history), next=entry.id, unsent=self._unsent)

    @property
    def _unsent(self) -> int:
        return self.claim.route.unsent + (not self.has_asked)


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
        self._ring = ring
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
            await self._give_back(held.claim)
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
        return await self._record(held, answer)

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
                await self._hand_on(trip, trip.entry, 0)
                return None
            if await self._may_ask(trip):
                if trip.has_asked and not await self._renew(trip):
                    return None
                try:
                    answer = await self._ask(trip)
                except AppError as error:
                    await self._note_failure(trip, error)
                else:
                    return await self._record(trip.held, answer)
            match await self._next_step(trip):
                case Ask(entry):
                    trip.entry = entry
                case Wait(entry, seconds):
                    await self._hand_on(trip, entry, seconds)
                    return None
                case GiveUp():
                    last = trip.history[-1]
                    detail = ErrorDetail(code=last.code, message=last.message)
                    return await self._record(trip.held, _failed(trip, detail))

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
        answer = await self._answer(claim, entry)
        self._upstreams.answered(entry)
        # a cached answer made no request
        return answer.model_copy(update={"attempts": trip.attempts - answer.cached, "history": trip.history})

    async def _answer(self, claim: Claim, entry: ModelEntry) -> Answer:
        """A container that was leaving has done nothing: the call is put again, as if it had never been."""
        for _ in range(MAX_REFUSALS):
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
        has_budget = is_retryable and await self._retries(trip) < self._limits.job_retries
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

    async def _retries(self, trip: Trip) -> int:
        retries, _ = await patiently(lambda: self._store.retries(trip.claim.job_id))
        return retries

    async def _renew(self, trip: Trip) -> bool:
        """Draw the token of the next upstream request; False if the call is no longer ours."""
        trip.held.begin_writing()
        claim = await self._store.renew(trip.claim, trip.route(trip.entry))
        if claim is None:
            return False
        trip.held.renew(claim)
        trip.has_asked = False
        self._reset(claim.job_id, claim.call_id, claim.attempt)
        return True

    async def _record(self, held: Held, answer: Answer) -> int | None:
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

    async def _hand_on(self, trip: Trip, entry: ModelEntry, delay_seconds: float) -> None:
        """Back into the queue, durably: no thread waits, and a killed worker forgets nothing."""
        route = trip.route(entry).model_dump(mode="json")
        queue = self._queue_of(entry)
        row = _released(trip.claim, delay_seconds) | {"queue": queue, "route": route}
        is_released, _ = await patiently(lambda: self._store.release([row]))
        if is_released and trip.has_asked:
            self._reset(trip.claim.job_id, trip.claim.call_id, trip.claim.attempt + 1)
        if is_released and delay_seconds == 0:
            await self._ring(str(trip.claim.call_id), queue)

    async def _give_back(self, claim: Claim) -> None:
        """Cancelled from outside: a stopping worker hands the call on; a lost claim is not ours to touch."""
        if not self.is_draining:
            return
        try:
            if await self._store.release([_released(claim, 0)]):
                self._reset(claim.job_id, claim.call_id, claim.attempt + 1)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("call %s not released, its lease will run out: %s", claim.call_id, error)

    def _reset(self, job_id: UUID, call_id: UUID, attempt: int) -> None:
        """Tell watchers that what they saw of this call counts no more."""
        self._events.append(job_id, "call.reset", {"call": str(call_id), "attempt": attempt})


def _in_words(step: Step) -> str:
    match step:
        case Ask(entry):
            return f"{entry.id} is asked"
        case Wait(entry, seconds):
            return f"{entry.id} is asked in {seconds:.1f} s"
        case GiveUp():
            return "given up"


def _released(claim: Claim, delay_seconds: float) -> dict[str, Any]:
    return {"id": str(claim.call_id), "attempt": claim.attempt, "delay": delay_seconds}


def _failed(trip: Trip, error: ErrorDetail) -> Answer:
    return Answer(model=trip.claim.model, status="failed", attempts=trip.attempts, history=trip.history, error=error)


def _failure(claim: Claim, error: AppError, *, attempts: int) -> Answer:
    """The end of a call that went wrong on our side."""
    return Answer(
        model=claim.model,
        status="failed",
        attempts=attempts,
        history=list(claim.route.history),
        error=ErrorDetail(code=error.code, message=error.message),
    )
