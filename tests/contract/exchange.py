"""One HTTP/1.1 exchange of the scripted server: OpenAI's wire format, written by hand."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"keep-alive: timeout=5, max=100\r\n\r\n"
)


@dataclass
class Exchange:
    """What was asked, and the means to answer it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    client_left: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, status: int, body: Any, **headers: str) -> None:
        """A whole response: JSON, or a string as it is. Underscores of header names are dashes."""
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        await self.head(status, content_length=str(len(raw)), **headers)
        self._writer.write(raw)
        await self._writer.drain()

    async def head(self, status: int, **headers: str) -> None:
        """A status line and headers."""
        lines = [f"HTTP/1.1 {status} Whatever"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        await self._writer.drain()

    async def error(self, status: int, message: str, code: str | None = None, kind: str = "", **headers: str) -> None:
        """OpenAI's error envelope."""
        envelope = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        await self.answer(status, envelope, content_type="application/json", **headers)

    async def begin(self) -> None:
        """The head of a stream, and the comment that some servers send to keep proxies awake."""
        self._writer.write(STREAM_HEAD)
        await self.raw(b": waiting for the model\n\n")

    async def say(self, content: str | None, **delta: Any) -> None:
        """A piece of the answer."""
        await self.event({"choices": [{"index": 0, "delta": {"content": content, **delta}, "finish_reason": None}]})

    async def call(self, index: int, name: str, arguments: str) -> None:
        """A tool call, its arguments in two pieces."""
        function = {"name": name, "arguments": ""}
        head = {"index": index, "id": f"call_{index}_of_{name}", "type": "function", "function": function}
        await self.say(None, tool_calls=[head])
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            await self.say(None, tool_calls=[{"index": index, "function": {"arguments": piece}}])

    async def finish(self, reason: str, prompt_tokens: int = 3, completion_tokens: int = 0) -> None:
        """The reason, the usage, `[DONE]` and the end of the body."""
        await self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": None})
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        if self.body.get("stream_options", {}).get("include_usage"):
            await self.event({"choices": [], "usage": usage})
        await self.raw(b"data: [DONE]\n\n")
        await self.end()

    async def event(self, chunk: Any) -> None:
        """One server-sent event. JSON spells what is not ASCII, lone surrogates and all."""
        await self.raw(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    async def raw(self, data: bytes) -> None:
        """Bytes of the body."""
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    async def end(self) -> None:
        """The end of the body, as if all were well."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def partial_head(self) -> None:
        """Half a status line."""
        self._writer.write(b"HTTP/1.1 20")
        await self._writer.drain()

    def cut(self) -> None:
        """Close the connection in the middle of whatever it is."""
        self._writer.transport.abort()

    async def until_client_leaves(self) -> None:
        """Say nothing more, for as long as the client stays."""
        while await self._reader.read(1024):
            pass
        self.client_left.set()
