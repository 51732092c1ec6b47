"""Running one call: claim it, ask the model, record what came back."""

import asyncio
import logging
import random
import time
from contextlib import aclosing
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from common.catalog.catalog import Catalog
from common.contracts.calls import Answer, ErrorDetail, Usage
from common.errors import AppError
from common.events import EventSink
from common.providers.registry import Providers
from worker.leases import Leases
from worker.store import Claim, Ending, Store

# 25 ms: below it a stream of tokens becomes an XADD a token; above it people see text arrive in lumps.
COALESCE_SECONDS = 0.025
# Full jitter between 0 and twice the last bound: retries of many calls spread out by themselves.
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
# A server may ask for an hour; a call that waits longer than this had better fail.
MAX_RETRY_AFTER_SECONDS = 120.0
# How long a result is kept in hand while Postgres is away; by then the lease is long gone.
RECORD_PATIENCE_SECONDS = 120.0

logger = logging.getLogger(__name__)


class CallRunner:
    """Runs calls on the loop. A call is recorded once, however often it was delivered."""

    def __init__(
        self,
        store: Store,
        leases: Leases,
        catalog: Catalog,
        providers: Providers,
        events: EventSink,
        *,
        max_attempts: int,
    ) -> None:
        self._store = store
        self._leases = leases
        self._catalog = catalog
        self._providers = providers
        self._events = events
        self._max_attempts = max_attempts
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
        work = asyncio.create_task(self._ask_and_record(claim))
        self._leases.hold(claim, work)
        try:
            pending = await work
        except asyncio.CancelledError:
            await self._give_back(claim)
            return None
        finally:
            self._leases.drop(claim)
        return claim.job_id if pending == 0 else None

    async def _ask_and_record(self, claim: Claim) -> int | None:
        self._events.append(
            claim.job_id,
            "call.started",
            {"call": str(claim.call_id), "model": claim.model, "attempt": claim.attempt},
        )
        try:
            answer = await self._ask(claim)
        except AppError as error:
            if error.is_retryable and claim.attempt < self._max_attempts:
                await self._retry_later(claim, error)
                return None
            answer = _failure(claim, error)
        except Exception:
            logger.exception("call %s failed in our own code", claim.call_id)
            answer = _failure(claim, AppError("The call failed in our own code; the worker's log says where."))
        return await self._record(claim, answer)

    async def _ask(self, claim: Claim) -> Answer:
        entry = self._catalog.resolve(claim.model)
        provider = await self._providers.get(entry)
        request = self._providers.request_for(entry, claim.call)
        started = time.perf_counter()
        first_token: float | None = None
        pieces: list[str] = []
        finish_reason: str | None = None
        usage: Usage | None = None
        shown = _Shown(self._events, claim)
        async with aclosing(provider.stream(request)) as stream:
            async for delta in stream:
                if delta.text:
                    first_token = first_token or time.perf_counter()
                    pieces.append(delta.text)
                    shown.add(delta.text)
                finish_reason = delta.finish_reason or finish_reason
                usage = delta.usage or usage
        shown.flush()
        ended = time.perf_counter()
        return Answer(
            model=claim.model,
            served_by=entry.id,
            provider=provider.name,
            status="completed",
            text="".join(pieces),
            finish_reason=finish_reason,
            usage=usage,
            cost_usd=0.0 if entry.local else None,
            latency_ms=_milliseconds(started, ended),
            time_to_first_token_ms=_milliseconds(started, first_token) if first_token else None,
            attempts=claim.attempt,
        )

    async def _record(self, claim: Claim, answer: Answer) -> int | None:
        self._leases.begin_recording(claim)
        ending = Ending(claim.call_id, claim.attempt, answer.status, answer)
        deadline = time.monotonic() + RECORD_PATIENCE_SECONDS
        while True:
            try:
                pending = await self._store.finish_call(ending)
                break
            except (SQLAlchemyError, OSError) as error:
                if time.monotonic() > deadline:
                    logger.error("result of call %s given up, it will be run again: %s", claim.call_id, error)  # noqa: TRY400
                    return None
                await asyncio.sleep(0.5)
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

    async def _retry_later(self, claim: Claim, error: AppError) -> None:
        """Back into the queue, durably: no thread waits, and a killed worker forgets nothing."""
        delay = backoff_seconds(claim.attempt, error.retry_after_seconds)
        logger.info("call %s will be tried again in %.1f s: %s", claim.call_id, delay, error.message)
        await self._release(claim, delay)

    async def _give_back(self, claim: Claim) -> None:
        """Cancelled from outside: a stopping worker hands the call on; a lost claim is not ours to touch."""
        if self.is_draining:
            await self._release(claim, 0)

    async def _release(self, claim: Claim, delay: float) -> None:
        row = {"id": str(claim.call_id), "attempt": claim.attempt, "delay": delay}
        try:
            released = await self._store.release([row])
        except (SQLAlchemyError, OSError) as error:
            logger.warning("call %s not released, its lease will run out: %s", claim.call_id, error)
            return
        if released:
            reset = {"call": str(claim.call_id), "attempt": claim.attempt + 1}
            self._events.append(claim.job_id, "call.reset", reset)


class _Shown:
    """Tokens on their way to watchers: the first at once, then a piece every `COALESCE_SECONDS`."""

    def __init__(self, events: EventSink, claim: Claim) -> None:
        self._events = events
        self._claim = claim
        self._pieces: list[str] = []
        self._due = 0.0

    def add(self, text: str) -> None:
        self._pieces.append(text)
        if time.perf_counter() >= self._due:
            self.flush()

    def flush(self) -> None:
        if self._pieces:
            data = {
                "call": str(self._claim.call_id),
                "model": self._claim.model,
                "text": "".join(self._pieces),
            }
            self._events.append(self._claim.job_id, "call.delta", data)
            self._pieces.clear()
            self._due = time.perf_counter() + COALESCE_SECONDS


def backoff_seconds(attempt: int, retry_after_seconds: float | None) -> float:
    """Full jitter over a doubling bound, and not before the server's Retry-After, within reason."""
    bound = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**attempt)
    return max(random.uniform(0, bound), min(retry_after_seconds or 0, MAX_RETRY_AFTER_SECONDS))  # noqa: S311  # spreads load


def _failure(claim: Claim, error: AppError) -> Answer:
    return Answer(
        model=claim.model,
        status="failed",
        attempts=claim.attempt,
        error=ErrorDetail(code=error.code, message=error.message),
    )


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 1)
