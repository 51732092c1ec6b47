"""Slots, and the bounded line of calls that wait for one."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from runner.faults import Busy, Draining


class Line:
    """First come, first served. It counts what this instance does, for everybody who asks `/health`."""

    def __init__(self, slots: int, queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._queue = queue
        self._clock = clock
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._last_end = clock()
        self._is_closed = False
        self._empty = asyncio.Event()
        self._empty.set()
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """Calls without a slot."""
        return len(self._waiters)

    @property
    def idle_seconds(self) -> float | None:
        """Since the last call ended, or since the start; None while there is one."""
        return None if self.in_flight or self._waiters else self._clock() - self._last_end

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A slot, waited for if need be, and given to the next in line at the end.

        Raises:
            Busy: the line is full.
            Draining: the line is closed, or was while this call waited.
        """
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    def close(self) -> None:
        """Refuse every call that has no slot, now and from now on: none of them has generated anything."""
        self._is_closed = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(Draining())

    def touch(self) -> None:
        """Idle from now on: the instance has just become ready."""
        self._last_end = self._clock()

    async def drained(self) -> None:
        """Wait until no call has a slot."""
        await self._empty.wait()

    async def _enter(self) -> None:
        if self._is_closed:
            raise Draining
        if self.in_flight < self._slots:
            self._take()
            return
        if len(self._waiters) >= self._queue:
            raise Busy
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It was handed a slot in the moment in which its client left.
                self._leave()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
                self._last_end = self._clock()
            raise

    def _take(self) -> None:
        self.in_flight += 1
        self._empty.clear()

    def _leave(self) -> None:
        self.in_flight -= 1
        self._last_end = self._clock()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._take()
                waiter.set_result(None)
                return
        if self.in_flight == 0:
            self._empty.set()
