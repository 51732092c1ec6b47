"""Many open streams at a reader's pace: does any of them stall, does any of them lose a word?

    python -m benchmarks.gateway.crowd --port P --request FILE --streams N --tokens T --open-seconds S

Streams are opened evenly over `--open-seconds` and read to their end. A stall is the longest time between two
pieces of one stream. Prints milliseconds as JSON.
"""

import argparse
import asyncio
import gc
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.gateway.upstream import TOKENS_A_SECOND
from benchmarks.sse_fanout import allow_connections

STALL_MS = 250.0
# beyond what the streams take at their pace; who is not done by then is lost
GRACE_SECONDS = 15
WORD = b'"content":" '
TAIL_BYTES = len(WORD)


class Reader(asyncio.Protocol):
    """One stream: what came of it, and the longest it kept silent after its first word."""

    def __init__(
        self, raw: bytes, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._raw = raw
        self._clock = clock
        self._last_at = 0.0
        self._tail = b""
        self.words = 0
        self.stall_seconds = 0.0
        self.first_seconds = 0.0
        self.status = b""
        self.is_whole = False
        self.ended = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._asked_at = self._clock()
        self._transport.write(self._raw)

    def data_received(self, data: bytes) -> None:
        now = self._clock()
        if not self.status:
            self.status = data[9:12]
        # what was cut may begin in one read and end in the next
        seen = self._tail + data
        words = seen.count(WORD) - self._tail.count(WORD)
        self._tail = seen[-TAIL_BYTES:]
        if words and self.words:
            self.stall_seconds = max(self.stall_seconds, now - self._last_at)
        elif words:
            self.first_seconds = now - self._asked_at
        if words:
            self.words += words
            self._last_at = now
        if b"data: [DONE]" in seen:
            self.is_whole = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's
        if not self.ended.done():
            self.ended.set_result(None)


async def gather(port: int, raw: bytes, streams: int, tokens: int, open_seconds: float) -> dict[str, float]:
    """Open them all, read them all."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    readers: list[Reader] = []
    failed_to_connect = 0
    for number in range(streams):
        await asyncio.sleep(max(began + open_seconds * number / streams - time.perf_counter(), 0))
        try:
            _, reader = await loop.create_connection(lambda: Reader(raw, loop), "127.0.0.1", port)
        except OSError:
            failed_to_connect += 1
        else:
            readers.append(reader)
    allowed_seconds = tokens / TOKENS_A_SECOND + GRACE_SECONDS
    if readers:
        await asyncio.wait([reader.ended for reader in readers], timeout=allowed_seconds)
    whole = [reader for reader in readers if reader.is_whole and reader.words == tokens]
    stalls_ms = [reader.stall_seconds * 1000 for reader in whole]
    return {
        "streams": streams,
        "lost": streams - len(whole),
        "refused": failed_to_connect + sum(reader.status != b"200" for reader in readers),
        "stalled": sum(stall > STALL_MS for stall in stalls_ms),
        "stall_p50_ms": _percentile(stalls_ms, 50),
        "stall_p99_ms": _percentile(stalls_ms, 99),
        "stall_max_ms": max(stalls_ms, default=0.0),
        "first_p99_ms": _percentile([reader.first_seconds * 1000 for reader in whole], 99),
        # of this process: near to one, it and not the gateway is what is measured
        "busy": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) / (time.perf_counter() - began),
    }


def _percentile(values: Sequence[float], number: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[number - 1] if len(values) > 1 else sum(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--open-seconds", type=float, required=True)
    given = parser.parse_args()
    allow_connections(given.streams)
    gc.disable()
    raw = given.request.read_bytes()
    print(json.dumps(uvloop.run(gather(given.port, raw, given.streams, given.tokens, given.open_seconds))))


if __name__ == "__main__":
    main()
