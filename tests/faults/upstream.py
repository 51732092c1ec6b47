"""A model server that takes its time, counts what it is asked, and misbehaves by the name of the model.

    python -m tests.faults.upstream PORT --seconds 5 7

`hang` never answers, `reset` breaks off after a piece, `trickle` sends a piece a second for ever; any other model
answers between the two times, and with a valid document where it is held to a schema. `GET /counts` tells how many
requests came and how many of them were different questions: what is more was asked again.
"""

import argparse
import asyncio
import hashlib
import random
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import Any

import orjson
import uvloop

from common.providers.mock_json import document

PIECES = 4
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Upstream:
    """One server's state: how often each question was asked, and how many wait for an answer now."""

    def __init__(self, shortest_seconds: float, longest_seconds: float) -> None:
        self._asked: Counter[bytes] = Counter()
        self._by_model: Counter[str] = Counter()
        self._in_flight = 0
        self._latency = (shortest_seconds, longest_seconds)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One keep-alive connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = next((line[15:] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
                body = await reader.readexactly(int(length))
                if head.startswith("get "):
                    writer.write(self._counts())
                    continue
                self._in_flight += 1
                try:
                    await self._answer(orjson.loads(body), body, writer)
                finally:
                    self._in_flight -= 1
        writer.close()

    def _counts(self) -> bytes:
        counts = {
            "requests": self._asked.total(),
            "questions": len(self._asked),
            "in_flight": self._in_flight,
            "by_model": self._by_model,
        }
        text = orjson.dumps(counts)
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text)

    async def _answer(self, asked: dict[str, Any], body: bytes, writer: asyncio.StreamWriter) -> None:
        model: str = asked["model"]
        digest = hashlib.sha1(body, usedforsecurity=False).digest()
        self._asked[digest] += 1
        self._by_model[model] += 1
        if model == "hang":
            await asyncio.sleep(3600)
        if model not in {"reset", "trickle"}:
            await asyncio.sleep(random.uniform(*self._latency))
        writer.write(HEAD + _chunk(_delta({"role": "assistant", "content": ""})))
        if model == "trickle":
            while True:
                await asyncio.sleep(1)
                writer.write(_chunk(_delta({"content": "."})))
                await writer.drain()
        if model == "reset":
            await writer.drain()
            _break_off(writer)
            raise ConnectionResetError
        for piece in _pieces(asked, digest):
            writer.write(_chunk(_delta({"content": piece})))
            await writer.drain()
            await asyncio.sleep(0)
        usage = {"prompt_tokens": 9, "completion_tokens": PIECES, "total_tokens": 9 + PIECES}
        writer.write(_chunk(_delta({}, "stop")) + _chunk({**_delta({}), "choices": [], "usage": usage}))
        writer.write(_framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()


def _pieces(asked: dict[str, Any], digest: bytes) -> list[str]:
    shape = asked.get("response_format", {}).get("json_schema", {}).get("schema")
    text = document(shape, digest) if shape else " ".join(digest.hex()[n : n + 8] for n in range(0, 32, 8))
    step = len(text) // PIECES + 1
    return [text[start : start + step] for start in range(0, len(text), step)]


def _delta(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": None}


def _chunk(data: dict[str, Any]) -> bytes:
    return _framed(b"data: " + orjson.dumps(data) + b"\n\n")


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _break_off(writer: asyncio.StreamWriter) -> None:
    """Close with a reset rather than a goodbye."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main(port: int, shortest_seconds: float, longest_seconds: float) -> None:
    upstream = Upstream(shortest_seconds, longest_seconds)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, nargs=2, required=True)
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        uvloop.run(main(given.port, *given.seconds))
