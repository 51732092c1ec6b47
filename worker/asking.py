"""One upstream request: a call put to one model, shown while it is answered."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from common.catalog.entry import ModelEntry
from common.contracts.calls import Answer, Usage
from common.contracts.messages import ToolCall
from common.events import EventSink
from common.providers.complete import ToolCalls
from common.providers.protocol import ModelRequest, Provider
from common.providers.registry import Providers
from worker.showing import Showing
from worker.store import Claim

# A local server works on a few requests at a time. The others wait in our line rather than in its own,
# where their deadlines would run.
LOCAL_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What came back, and how long it took."""

    text: str
    finish_reason: str | None
    usage: Usage | None
    tool_calls: tuple[ToolCall, ...]
    latency_ms: float
    time_to_first_token_ms: float | None


class Asker:
    """Puts calls to models. Belongs to one event loop."""

    def __init__(
        self,
        providers: Providers,
        events: EventSink,
        price: "Callable[[ModelEntry, Usage | None], float | None]",
    ) -> None:
        self._providers = providers
        self._events = events
        self._price = price
        self._local_slots = asyncio.Semaphore(LOCAL_AT_ONCE)

    async def ask(self, claim: Claim, entry: ModelEntry) -> Answer:
        """The answer of this model to the claimed call.

        Raises:
            ProviderError: it did not answer; what it said until then was shown.
        """
        provider = await self._providers.get(entry)
        request = self._providers.request_for(entry, claim.call)
        async with self._slot(entry):
            asked = await self._stream(claim, provider, request)
        return Answer(
            model=claim.model,
            served_by=entry.id,
            provider=provider.name,
            status="completed",
            text=asked.text,
            finish_reason=asked.finish_reason,
            usage=asked.usage,
            cost_usd=self._price(entry, asked.usage),
            latency_ms=asked.latency_ms,
            time_to_first_token_ms=asked.time_to_first_token_ms,
            tool_calls=list(asked.tool_calls),
        )

    async def _stream(self, claim: Claim, provider: Provider, request: ModelRequest) -> Asked:
        started = time.perf_counter()
        first_token: float | None = None
        pieces: list[str] = []
        tool_calls = ToolCalls()
        finish_reason: str | None = None
        usage: Usage | None = None
        showing = Showing(self._events, claim)
        async with aclosing(provider.stream(request)) as stream:
            async for delta in stream:
                if delta.text:
                    first_token = first_token or time.perf_counter()
                    pieces.append(delta.text)
                    showing.add(delta.text)
                tool_calls.add(delta.tool_calls)
                finish_reason = delta.finish_reason or finish_reason
                usage = delta.usage or usage
        showing.flush()
        return Asked(
            "".join(pieces),
            finish_reason,
            usage,
            tool_calls.whole(),
            latency_ms=milliseconds_since(started),
            time_to_first_token_ms=milliseconds_since(started, first_token) if first_token else None,
        )

    @asynccontextmanager
    async def _slot(self, entry: ModelEntry) -> AsyncIterator[None]:
        if entry.local:
            async with self._local_slots:
                yield
        else:
            yield


def milliseconds_since(start: float, end: float | None = None) -> float:
    """From `start` to `end`, or to now, both of `time.perf_counter`."""
    return round(((time.perf_counter() if end is None else end) - start) * 1000, 1)
