"""The canned upstream: an OpenAI-compatible server with nothing behind it, so that it is not what is measured.

    python -m benchmarks.gateway.upstream --port P [--paced-tokens N]

The path says how it streams, an HTTP chunk an event in every case:

/at_once/v1/…  all of it by one system call: the cheapest upstream that there can be, so that it is not what is measured
/flushed/v1/…  as fast as it goes, each event by a system call of its own, which takes the upstream ten times as long
/halting/v1/…  the first word, and 5 ms later the rest
/paced/v1/…    20 tokens a second, each by a system call of its own
"""

import argparse
import asyncio
import os
from collections import deque
from functools import partial
from typing import cast

import uvloop

from benchmarks.gateway.answers import CHUNKS, events, whole_answer

TOKENS_A_SECOND = 20
HALT_SECONDS = 0.005
# streams are served in as many groups, one a millisecond
_SLOTS = 1000 // TOKENS_A_SECOND

_SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


class Canned:
    """The bytes of every answer, made once. A streamed one is a tuple of what each system call sends."""

    def __init__(self, paced_tokens: int) -> None:
        self.whole = _json(whole_answer())
        self.models = _json(
            b'{"object":"list","data":[{"id":"canned-1","object":"model","created":1,"owned_by":"us"}]}'
        )
        self.flushed = {with_usage: _framed(CHUNKS - 2, with_usage) for with_usage in (False, True)}
        self.at_once = {with_usage: (b"".join(parts),) for with_usage, parts in self.flushed.items()}
        self.paced = {with_usage: _framed(paced_tokens, with_usage) for with_usage in (False, True)}


def _json(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _framed(words: int, with_usage: bool) -> tuple[bytes, ...]:
    framed = [b"%x\r\n%b\r\n" % (len(event), event) for event in events(words=words, with_usage=with_usage)]
    # the head with who speaks, as it comes from servers that answer once they have something to say
    return (_SSE_HEAD + framed[0], *framed[1:-1], framed[-1] + _END)


class Pace:
    """Sends every stream's next event 20 times a second, a fiftieth of the streams each millisecond."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: list[list[tuple[Upstream, deque[bytes]]]] = [[] for _ in range(_SLOTS)]
        self._ticks = 0
        self._streams = 0
        self._began_at = 0.0

    def add(self, upstream: "Upstream", rest: deque[bytes]) -> None:
        self._streams += 1
        self._slots[self._ticks % _SLOTS].append((upstream, rest))
        if self._streams == 1:
            # nobody was served for a while: the next tick is a millisecond from now
            self._began_at = self._loop.time() - self._ticks / 1000
            self._loop.call_later(0.001, self._tick)

    def _tick(self) -> None:
        # as many slots as milliseconds went by: a late timer does not slow the streams down
        due = int((self._loop.time() - self._began_at) * 1000)
        while self._ticks < due:
            self._ticks += 1
            slot = self._slots[self._ticks % _SLOTS]
            for stream in slot:
                upstream, rest = stream
                upstream.send(rest.popleft())
            kept = [stream for stream in slot if stream[1] and not stream[0].is_gone]
            self._streams -= len(slot) - len(kept)
            slot[:] = kept
        if self._streams:
            self._loop.call_later(0.001, self._tick)


class Upstream(asyncio.Protocol):
    """One keep-alive connection; one request at a time, its body with a Content-Length."""

    def __init__(self, canned: Canned, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        self._canned, self._pace, self._loop = canned, pace, loop
        self._received = b""
        self.is_gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._file = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's
        self.is_gone = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= _content_length(head):
            self._received = b""
            self._answer(head, body)

    def send(self, data: bytes) -> None:
        """By a system call of its own if the socket takes it; nothing once the client is gone."""
        if self.is_gone:
            return
        sent = 0
        if not self._transport.get_write_buffer_size():
            try:
                sent = os.write(self._file, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._transport.abort()
                return
        if sent < len(data):
            self._transport.write(data[sent:])

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._transport.write(self._canned.models)
        elif b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(self._canned.whole)
        else:
            with_usage = b'"include_usage":true' in body or b'"include_usage": true' in body
            self._stream(head, with_usage)

    def _stream(self, head: bytes, with_usage: bool) -> None:
        if head.startswith(b"POST /paced/"):
            role, first, *rest = self._canned.paced[with_usage]
            self.send(role + first)
            self._pace.add(self, deque(rest))
            return
        parts = self._canned.flushed[with_usage]
        if head.startswith(b"POST /halting/"):
            self._send_all(parts[:2])
            self._loop.call_later(HALT_SECONDS, self._send_all, (b"".join(parts[2:]),))
        elif head.startswith(b"POST /flushed/"):
            self._send_all(parts)
        else:
            self._send_all(self._canned.at_once[with_usage])

    def _send_all(self, parts: tuple[bytes, ...]) -> None:
        for part in parts:
            self.send(part)


def _content_length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"\r\ncontent-length:")
    return int(after.partition(b"\r\n")[0] or b"0")


async def serve(port: int, paced_tokens: int) -> None:
    loop = asyncio.get_running_loop()
    canned, pace = Canned(paced_tokens), Pace(loop)
    server = await loop.create_server(partial(Upstream, canned, pace, loop), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--paced-tokens", type=int, default=200)
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.paced_tokens))
