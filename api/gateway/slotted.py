"""The way to a model that works on a few requests at a time: with a slot of it, held until its answer is over."""

import time
from collections.abc import AsyncGenerator
from dataclasses import replace

from api.gateway.answers import Stream, Way, Whole
from api.gateway.asked import Asked
from common.admission.slots import Slot, Slots
from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage

# Somebody whose turn does not come within a minute had better hear so, and ask another model.
PATIENCE_SECONDS = 60.0


class Slotted:
    """Goes another way once there is a slot."""

    def __init__(self, way: Way, slots: Slots) -> None:
        self._way = way
        self._slots = slots

    async def whole(self, asked: Asked, entry: ModelEntry) -> Whole:
        """See `Way.whole`.

        Raises:
            RateLimited: the line is too long, or took too long.
        """
        started = time.perf_counter()
        async with self._slots.hold(entry, patience_seconds=PATIENCE_SECONDS):
            in_line_seconds = time.perf_counter() - started
            answer = await self._way.whole(asked, entry)
        return replace(answer, waited_seconds=answer.waited_seconds + in_line_seconds)

    async def stream(self, asked: Asked, entry: ModelEntry) -> "SlottedStream":
        """See `Way.stream`; raises what `whole` raises."""
        started = time.perf_counter()
        slot = await self._slots.take(entry, patience_seconds=PATIENCE_SECONDS)
        in_line_seconds = time.perf_counter() - started
        try:
            return SlottedStream(await self._way.stream(asked, entry), slot, in_line_seconds)
        except BaseException:
            slot.release()
            raise


class SlottedStream:
    """See `Stream`. The slot is free when it is closed."""

    def __init__(self, stream: Stream, slot: Slot, in_line_seconds: float) -> None:
        self._stream = stream
        self._slot = slot
        self.waited_seconds = stream.waited_seconds + in_line_seconds

    @property
    def usage(self) -> Usage | None:
        """See `Stream.usage`."""
        return self._stream.usage

    @property
    def reasoning_tokens(self) -> int | None:
        """See `Stream.reasoning_tokens`."""
        return self._stream.reasoning_tokens

    @property
    def response_model(self) -> str | None:
        """See `Stream.response_model`."""
        return self._stream.response_model

    def blocks(self) -> AsyncGenerator[bytes]:
        """See `Stream.blocks`."""
        return self._stream.blocks()

    async def close(self) -> None:
        """See `Stream.close`."""
        try:
            await self._stream.close()
        finally:
            self._slot.release()
