"""What was said of one job: rendered once, for any number of readers."""

import asyncio
import time
from bisect import bisect_right
from dataclasses import dataclass

from api.events.ids import LAST, Order, order_of
from api.events.wire import render
from common.events import Once

# As many as the stream itself keeps (common/events.py), and some.
MAX_EVENTS = 12_000
# One write to one reader. A thousand that join late hold this much each, not the whole history.
CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a job: its whole document, and the digest of its ETag."""

    document: bytes
    digest: str


class Reader:
    """One watcher of a channel. Belongs to one task."""

    def __init__(self) -> None:
        self.sending_since: float | None = None
        self.is_dropped = False
        self._wakeup: asyncio.Future[bytes] | None = None
        self._task = asyncio.current_task()

    def wake(self, heartbeat: bytes = b"") -> None:
        """Let it look again. A reader that is not waiting looks anyway, before it waits."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(heartbeat)

    async def woken(self) -> bytes:
        """Wait for the next `wake`; returns what should be sent if there is nothing new to send."""
        self._wakeup = asyncio.get_running_loop().create_future()
        try:
            return await self._wakeup
        finally:
            self._wakeup = None

    def drop_if_stuck(self, patience_seconds: float) -> None:
        """Give up on a client that takes nothing; it may come back and resume."""
        if self.sending_since is not None and time.monotonic() - self.sending_since > patience_seconds:
            assert self._task is not None
            self.is_dropped = True
            self._task.cancel()


class Channel:
    """The events of one job, in order, as long as somebody reads them.

    Positions count from the job's first event and stay valid when the oldest are forgotten.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.readers: set[Reader] = set()
        self.last_stream_id = "0-0"
        """Where reading the stream goes on."""
        self.once = Once()
        self.ended_calls: set[str] = set()
        """Calls whose end was shown."""
        self.is_finishing = False
        self.is_finished = False
        self.finish: Finish | None = None
        """None in a finished channel: the job was deleted."""
        self._chunks: list[bytes] = []
        self._orders: list[Order] = []
        self._forgotten = 0
        self._final_id: str | None = None
        self._joined: tuple[int, int, bytes] = (0, 0, b"")

    @property
    def end(self) -> int:
        """The position after the newest event."""
        return self._forgotten + len(self._chunks)

    def append(self, event_id: str, name: str, data: bytes) -> None:
        """Add an event; follow with `wake`."""
        self._add(order_of(event_id), render(event_id, name, data))

    def end_with(self, event_id: str, finish: Finish) -> None:
        """Add `job.finished`, the last event, and wake everybody."""
        self.finish = finish
        self._final_id = event_id
        self._add(LAST, render(event_id, "job.finished", finish.document))
        self.close()

    def close(self) -> None:
        """No more events will come."""
        self.is_finished = True
        self.wake()

    def wake(self, heartbeat: bytes = b"") -> None:
        """Let every reader look again."""
        for reader in self.readers:
            reader.wake(heartbeat)

    def position_after(self, event_id: str | None) -> int:
        """Where a watcher goes on that has seen this event; the beginning if it has seen none."""
        if not event_id:
            return self._forgotten
        if event_id == self._final_id:
            return self.end
        return self._forgotten + bisect_right(self._orders, order_of(event_id))

    def read(self, position: int) -> tuple[bytes, int]:
        """Events from `position` on, CHUNK_BYTES or a little more, and the position after them.

        Raises:
            LookupError: they are forgotten.
        """
        if position < self._forgotten:
            raise LookupError("the reader fell too far behind")
        start, stop, joined = self._joined
        if start != position or stop == start or (stop < self.end and len(joined) < CHUNK_BYTES):
            # Readers mostly stand at the same place: what one of them joined serves them all.
            stop, joined = self._join(position)
            self._joined = (position, stop, joined)
        return joined, stop

    def _join(self, position: int) -> tuple[int, bytes]:
        first = last = position - self._forgotten
        size = 0
        while last < len(self._chunks) and size < CHUNK_BYTES:
            size += len(self._chunks[last])
            last += 1
        return last + self._forgotten, b"".join(self._chunks[first:last])

    def _add(self, order: Order, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._orders.append(order)
        surplus = len(self._chunks) - MAX_EVENTS
        if surplus > 0:
            del self._chunks[:surplus], self._orders[:surplus]
            self._forgotten += surplus
