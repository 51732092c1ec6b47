"""Requests at a rate, whatever becomes of them: users do not wait for one another.

    python -m benchmarks.gateway.steady --port P --request FILE --rate R --seconds S

Poisson arrivals; a time counts from when the request was due, so that a server that stalls is not asked more
rarely and flattered for it (coordinated omission). Prints milliseconds as JSON.
"""

import argparse
import asyncio
import gc
import json
import random
import re
import statistics
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import cast

import uvloop

# a server that needs more than so many at once for its half rate has lost anyway
MOST_CONNECTIONS = 512
# for the last answers; only who loses one waits for so long
DRAIN_SECONDS = 30
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\r\n", re.IGNORECASE)


class Steady:
    """The due requests, the connections that are free, and how long each request took."""

    def __init__(self, port: int, raw: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.port, self.raw, self.loop = port, raw, loop
        self.took: list[float] = []
        self.refused = 0
        self.free: list[Connection] = []
        self._due: deque[float] = deque()
        self._connections = 0
        self._awaited: int | None = None
        self._all_answered = asyncio.Event()

    def ask(self, due_at: float) -> None:
        if self.free:
            self.free.pop().ask(due_at)
            return
        self._due.append(due_at)
        if self._connections < MOST_CONNECTIONS:
            self._connections += 1
            task = self.loop.create_task(self._connect())
            task.add_done_callback(lambda done: done.result())

    def note(self, seconds: float, *, is_refused: bool) -> None:
        self.took.append(seconds)
        self.refused += is_refused
        if len(self.took) == self._awaited:
            self._all_answered.set()

    async def answered(self, count: int) -> None:
        """Wait until so many are answered."""
        self._awaited = count
        if len(self.took) < count:
            await self._all_answered.wait()

    def is_free(self, connection: "Connection") -> None:
        if self._due:
            connection.ask(self._due.popleft())
        else:
            self.free.append(connection)

    async def _connect(self) -> None:
        await self.loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)


class Connection(asyncio.Protocol):
    """One request at a time; the answer has a Content-Length or ends as chunked bodies do."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady
        self._received = b""
        self._due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._steady.is_free(self)

    def ask(self, due_at: float) -> None:
        self._due_at = due_at
        self._transport.write(self._steady.raw)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n") if end else None
        if not end or (len(body) < int(length[1]) if length else not body.endswith(b"0\r\n\r\n")):
            return
        self._received = b""
        self._steady.note(time.perf_counter() - self._due_at, is_refused=not head.startswith(b"HTTP/1.1 200"))
        self._steady.is_free(self)


async def generate(port: int, raw: bytes, rate: float, seconds: float) -> dict[str, float]:
    """Ask that often for so long; what was never answered is in `unanswered`."""
    loop = asyncio.get_running_loop()
    steady = Steady(port, raw, loop)
    draw = random.Random(0)
    # not the loop's clock: uvloop's has milliseconds
    began = due_at = time.perf_counter()
    count = 0
    while due_at < began + seconds:
        now = time.perf_counter()
        while due_at <= now:
            # the timer's grain is a millisecond: those of one grain leave together, due now
            steady.ask(now)
            count += 1
            due_at += draw.expovariate(rate)
        await asyncio.sleep(max(due_at - time.perf_counter(), 0))
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await steady.answered(count)
    took = sorted(steady.took)
    p50, p99 = (statistics.quantiles(took, n=100, method="inclusive")[n - 1] for n in (50, 99))
    return {
        "requests": count,
        "refused": steady.refused,
        "unanswered": count - len(steady.took),
        "p50_ms": p50 * 1000,
        "p99_ms": p99 * 1000,
        "max_ms": took[-1] * 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    gc.disable()
    print(json.dumps(uvloop.run(generate(given.port, given.request.read_bytes(), given.rate, given.seconds))))


if __name__ == "__main__":
    main()
