"""Putting a call to one model: an upstream request, shown while it is answered, or an equal one's recorded answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

from common.admission.slots import Slots
from common.cache import AnswerCache, CachedAnswer, key_of
from common.catalog.entry import ModelEntry
from common.contracts.calls import Answer, Usage
from common.errors import AppError
from common.events import EventSink
from common.providers.complete import ToolCalls
from common.providers.length import Length
from common.providers.protocol import ModelRequest, Provider
from common.providers.registry import Providers
from common.telemetry.port import SILENT, OfCall, Telemetry, UpstreamRequest
from worker.showing import Showing
from worker.starting import Starting
from worker.store import Claim

# A local server works on a few requests at a time, on how many its entry may say (`slots`). The others wait in our
# line rather than in its own, where their deadlines would run.
LOCAL_AT_ONCE = 16

Price = Callable[[ModelEntry, Usage | None], float | None]


class Asker:
    """Puts calls to models. Belongs to one event loop."""

    def __init__(
        self,
        providers: Providers,
        cache: AnswerCache,
        events: EventSink,
        price: Price,
        slots: Slots,
        telemetry: Telemetry = SILENT,
        starting: Starting | None = None,
    ) -> None:
        self._providers = providers
        self._cache = cache
        self._events = events
        self._price = price
        self._slots = slots
        self._telemetry = telemetry
        self._starting = starting
        self._local_slots = asyncio.Semaphore(LOCAL_AT_ONCE)

    async def ask(self, claim: Claim, entry: ModelEntry) -> Answer:
        """The answer of this model to the claimed call.

        Raises:
            ProviderError: it did not answer; what it said until then was shown.
        """
        provider, request = await self._providers.prepare(entry, claim.call)
        asking = Asking(claim, provider, request, self._events)
        cold_start_ms: float | None = None

        async def ask() -> CachedAnswer:
            nonlocal cold_start_ms
            if self._starting is not None and self._providers.is_in_container(entry):
                cold_start_ms = await self._starting.wait(claim, entry)
            async with self._slot(entry):
                with self._told(claim, entry) as upstream:
                    return await asking.answer(upstream)

        is_cached = False
        if claim.call.routing.cache:
            key = key_of(provider.name, request)
            said, is_cached = await self._cache.answer(key, ask, patience_seconds=request.timeout_seconds)
        else:
            said = await ask()
        # under USE_MOCK, which costs nothing
        is_stood_in_for = provider.name == "mock" and entry.provider != "mock"
        return Answer(
            model=claim.model,
            served_by=entry.id,
            provider=provider.name,
            status="completed",
            text=said.text,
            finish_reason=said.finish_reason,
            usage=said.usage,
            cost_usd=0.0 if is_cached or is_stood_in_for else self._price(entry, said.usage),
            latency_ms=milliseconds_since(asking.started_at),
            time_to_first_token_ms=asking.time_to_first_token_ms,
            cold_start_ms=cold_start_ms,
            cached=is_cached,
            tool_calls=list(said.tool_calls),
        )

    @contextmanager
    def _told(self, claim: Claim, entry: ModelEntry) -> Iterator[UpstreamRequest]:
        """Whoever answers says how it ended; a failure is told here."""
        of_call = OfCall(claim.job_id, claim.call_id, claim.attempt)
        upstream = self._telemetry.upstream_request("chat", entry, is_streamed=True, of_call=of_call)
        try:
            yield upstream
        except AppError as error:
            upstream.end(error=error.code)
            raise
        except BaseException as error:
            upstream.end(error="cancelled" if isinstance(error, asyncio.CancelledError) else "internal_error")
            raise

    @asynccontextmanager
    async def _slot(self, entry: ModelEntry) -> AsyncIterator[None]:
        if entry.slots is not None:
            async with self._slots.hold(entry):
                yield
        elif entry.local:
            async with self._local_slots:
                yield
        else:
            yield


class Asking:
    """One upstream request and its times, of `time.perf_counter`; waiting in our own line is not counted."""

    def __init__(self, claim: Claim, provider: Provider, request: ModelRequest, events: EventSink) -> None:
        self._provider = provider
        self._request = request
        self._showing = Showing(events, claim)
        self.started_at = time.perf_counter()
        self.time_to_first_token_ms: float | None = None

    async def answer(self, upstream: UpstreamRequest) -> CachedAnswer:
        """Ask, show the pieces as they come, and return the whole."""
        self.started_at = time.perf_counter()
        pieces: list[str] = []
        tool_calls = ToolCalls()
        length = Length()
        finish_reason: str | None = None
        usage: Usage | None = None
        async with aclosing(self._provider.stream(self._request)) as stream:
            async for delta in stream:
                length.add(delta)
                if delta.text:
                    if not pieces:
                        upstream.begun()
                        self.time_to_first_token_ms = milliseconds_since(self.started_at)
                    pieces.append(delta.text)
                    self._showing.add(delta.text)
                if delta.tool_calls:
                    tool_calls.add(delta.tool_calls)
                finish_reason = delta.finish_reason or finish_reason
                usage = delta.usage or usage
        self._showing.flush()
        upstream.end(usage=usage)
        return CachedAnswer(
            text="".join(pieces), finish_reason=finish_reason, usage=usage, tool_calls=tool_calls.whole()
        )


def milliseconds_since(start: float) -> float:
    """From `start`, of `time.perf_counter`, to now."""
    return round((time.perf_counter() - start) * 1000, 1)
