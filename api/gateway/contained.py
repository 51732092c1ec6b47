"""The way to a model in a container: started if need be, and asked where it is just now."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from api.gateway.answers import Stream, Whole
from api.gateway.asked import Asked
from api.gateway.faults import Fault
from api.gateway.passing import Passing
from api.gateway.slotted import Slotted
from api.gateway.transport import Broken, NotReached
from api.gateway.upstream import Upstream
from common.admission.slots import Slots
from common.catalog.entry import ModelEntry
from common.catalog.local import LocalModel
from common.errors import InstanceGone
from common.fleet.contracts import Endpoint
from common.fleet.fleet import Fleet
from common.fleet.refusals import MAX_REFUSALS, REFUSALS
from common.providers.http import Proxies
from common.settings import Settings

Answer = TypeVar("Answer")

# The longest that a container which was told to stop goes on with what it has begun.
LEAVING_SECONDS = 3600.0


class Contained:
    """See `Way`, which raises `NotStarted` here too. Belongs to one event loop.

    A request that a container refused because it was leaving is put to the next one: nothing was done for it.
    """

    def __init__(self, fleet: Fleet, slots: Slots, settings: Settings) -> None:
        self._fleet = fleet
        self._slots = slots
        self._settings = settings
        self._ways: dict[str, tuple[Endpoint, Passing]] = {}
        # those of containers that are gone, or on their way, with the time of the loop
        self._left: deque[tuple[float, Passing]] = deque()

    async def whole(self, asked: Asked, entry: ModelEntry) -> Whole:
        """See `Way.whole`."""
        answer, seconds = await self._ask(entry, lambda way: way.whole(asked, entry))
        return replace(answer, waited_seconds=answer.waited_seconds + seconds)

    async def stream(self, asked: Asked, entry: ModelEntry) -> Stream:
        """See `Way.stream`."""
        stream, seconds = await self._ask(entry, lambda way: way.stream(asked, entry))
        stream.waited_seconds += seconds
        return stream

    async def close(self) -> None:
        """Close every connection."""
        for way in [way for _, way in (*self._ways.values(), *self._left)]:
            await way.close()

    async def _ask(self, entry: ModelEntry, ask: Callable[[Slotted], Awaitable[Answer]]) -> tuple[Answer, float]:
        """The answer, and the seconds that were waited for a container to put the request to."""
        assert isinstance(entry, LocalModel)
        began = time.perf_counter()
        for _ in range(MAX_REFUSALS):
            endpoint = await self._fleet.ready(entry)
            seconds = time.perf_counter() - began
            try:
                return await ask(Slotted(self._to(entry, endpoint), self._slots)), seconds
            except Fault as fault:
                # One that is silent may be at work; whom we lost in the middle may have begun.
                is_refusal = isinstance(fault.__cause__, NotReached) or fault.code in REFUSALS
                if is_refusal or isinstance(fault.__cause__, Broken):
                    self._fleet.lost(entry.id, endpoint)
                if not is_refusal:
                    raise
        raise InstanceGone(f"{entry.id}: {MAX_REFUSALS} containers were leaving, one after another.")

    def _to(self, entry: LocalModel, endpoint: Endpoint) -> Passing:
        made = self._ways.get(entry.id)
        if made is not None and made[0] == endpoint:
            return made[1]
        now = asyncio.get_running_loop().time()
        if made is not None:
            self._left.append((now, made[1]))
        while self._left and now - self._left[0][0] > LEAVING_SECONDS:
            self._left.popleft()  # its connections are closed: they were left long ago
        # A proxy never stands before a container.
        way = Passing(Upstream(entry.provider, f"{endpoint.base_url}/v1", None, Proxies()), self._settings)
        self._ways[entry.id] = endpoint, way
        return way
