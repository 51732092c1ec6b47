"""A server that speaks OpenAI's wire format and misbehaves as the asked model's name says.

Any other name is a model that answers well. Like llama.cpp it closes the connection after an answer
without having announced it, unless it is told of another way to part.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any, Self

from common.providers.mock_json import document
from tests.contract.exchange import Exchange
from tests.contract.troubles import RETRY_AFTER_SECONDS, SAID_BEFORE, Trouble

PREFIX = "/engines/llama.cpp/v1"
API_KEY = "key-that-nobody-may-see"
MODELS = ["good", "better:7b", "org/best"]
PROSE = ["Once", "upon", "a", "time", "two", "rivers", "met", "below", "a", "stone."]

Script = Callable[[Exchange], Awaitable[None]]


class Parting(StrEnum):
    """What becomes of a connection after an answer."""

    AT_ONCE = "at once"
    A_MOMENT_LATER = "a moment later"  # often enough while the client picks it for its next request
    AT_THE_NEXT_REQUEST = "at the next request"  # of which not a byte is read
    NEVER = "never"


A_MOMENT_SECONDS = 0.002


class ScriptedServer:
    """Keeps every exchange, so that a test can see what was asked and whether the client left.

    `script`, where there is one, answers whatever is asked.
    """

    speaks: type[Exchange] = Exchange
    """Whose words scripts use."""
    prefix = PREFIX
    """Where the format begins, below the address."""

    def __init__(self) -> None:
        self.script: Script | None = None
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.parting = Parting.AT_ONCE
        self.was_asked = asyncio.Event()
        self.scripts: dict[str, Script] = dict(SCRIPTS)
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self.prefix}"
        try:
            yield self
        finally:
            self.close_door()
            for writer in list(self._writers):
                writer.transport.abort()
            async with asyncio.timeout(60):
                await self._server.wait_closed()

    def close_door(self) -> None:
        """Take no more connections: what is begun goes on."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while exchange := await read_exchange(reader, writer, self.speaks):
                    self.exchanges.append(exchange)
                    self.was_asked.set()
                    try:
                        await (self.script or self._script(exchange))(exchange)
                    except ConnectionError:  # it was still spoken to
                        exchange.client_left.set()
                        break
                    if await self._parts(reader, writer):
                        break
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _parts(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection is over; returns when that is to happen."""
        match self.parting:
            case Parting.NEVER:
                return False
            case Parting.A_MOMENT_LATER:
                await asyncio.sleep(A_MOMENT_SECONDS)
            case Parting.AT_THE_NEXT_REQUEST:
                await reader.read(1)
                writer.transport.abort()
        return True

    def _script(self, exchange: Exchange) -> Script:
        match exchange.method, exchange.path:
            case "GET", path if path == f"{PREFIX}/models":
                return _list
            case "POST", path if path == f"{PREFIX}/chat/completions":
                return self.scripts.get(exchange.body["model"], _tell)
            case "POST", path if path == f"{PREFIX}/embeddings":
                return self.scripts.get(exchange.body["model"], _embed)
        return lambda lost: lost.error(404, f"No route {lost.path}")


async def read_exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: type[Exchange] = Exchange
) -> Exchange | None:
    """The next request, or None where the client has left."""
    if not (line := await reader.readline()):
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return kind(method, path, headers, json.loads(raw) if raw else None, reader, writer)


def sending(*pieces: bytes) -> Script:
    """A stream of exactly these pieces."""

    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        for piece in pieces:
            await exchange.raw(piece)
        await exchange.end()

    return script


async def _list(exchange: Exchange) -> None:
    listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]}
    await exchange.answer(200, listed, content_type="application/json")


async def _tell(exchange: Exchange) -> None:
    """A tool call where one is due; else a story, or a document of the schema that was sent.

    The text ends before a stop sequence, and after `max_tokens`.
    """
    await exchange.begin()
    if tools := tools_to_call(exchange.body):
        for index, tool in enumerate(tools):
            await exchange.call(index, tool["name"], document(tool["parameters"], digest=b"scripted"))
        await exchange.finish("tool_calls", completion_tokens=len(tools))
        return
    words, longest = _words(exchange.body), exchange.body.get("max_tokens") or 1_000
    said = words[:longest]
    for place, word in enumerate(said):
        await exchange.say(word if place == 0 else f" {word}")
    await exchange.finish("stop" if said == words else "length", completion_tokens=len(said))


def tools_to_call(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The named one, or all of them; none after a result, unless they are required."""
    tools = [tool["function"] for tool in body.get("tools", ())]
    match body.get("tool_choice", "auto"):
        case {"type": "function", "function": {"name": name}}:
            return [tool for tool in tools if tool["name"] == name]
        case "required":
            return tools
        case "auto" if body["messages"][-1]["role"] != "tool":
            return tools
    return []


def _words(body: dict[str, Any]) -> list[str]:
    constraint = body.get("response_format")
    if constraint is None:
        text = " ".join(PROSE)
    else:
        assert constraint["type"] == "json_schema"
        assert constraint["json_schema"]["name"]
        text = document(constraint["json_schema"]["schema"], digest=b"scripted")
    for stop in body.get("stop", ()):
        text = text.partition(stop)[0]
    return text.split(" ")


async def _embed(exchange: Exchange) -> None:
    """Vectors that count a text's characters, last text first: the order is the client's to restore."""
    texts = exchange.body["input"]
    size = exchange.body.get("dimensions") or 3
    vectors = [{"index": place, "embedding": [float(len(text))] * size} for place, text in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    await exchange.answer(200, {"data": vectors[::-1], "usage": usage}, content_type="application/json")


async def say_before(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.say(SAID_BEFORE)


async def _rate_limited(exchange: Exchange) -> None:
    await exchange.error(429, "Slow down", "rate_limit_exceeded", retry_after=str(RETRY_AFTER_SECONDS))


async def _server_error(exchange: Exchange) -> None:
    await exchange.answer(500, "<html>" + "Something went wrong. " * 10_000, content_type="text/html")


async def _overloaded(exchange: Exchange) -> None:
    await exchange.error(529, "Overloaded", kind="overloaded_error")


async def _away(exchange: Exchange) -> None:
    await exchange.error(503, "Loading model", kind="unavailable_error", retry_after=str(RETRY_AFTER_SECONDS))


async def _wrong_key(exchange: Exchange) -> None:
    shown = exchange.headers["authorization"].removeprefix("Bearer ")
    await exchange.error(401, f"Incorrect API key provided: {shown}.", "invalid_api_key", "invalid_request_error")


async def _no_such_model(exchange: Exchange) -> None:
    await exchange.error(404, "The model does not exist", "model_not_found", "invalid_request_error")


async def _too_long(exchange: Exchange) -> None:
    await exchange.error(
        400, "This model's maximum context length is 4096 tokens.", "context_length_exceeded", "invalid_request_error"
    )


async def _refused(exchange: Exchange) -> None:
    await exchange.error(400, "The prompt was filtered.", "content_filter")


async def _no_response(exchange: Exchange) -> None:
    await exchange.until_client_leaves()


async def _slow_first_token(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.until_client_leaves()


async def _stall(exchange: Exchange) -> None:
    await say_before(exchange)
    await exchange.until_client_leaves()


async def _disconnect(exchange: Exchange) -> None:
    await say_before(exchange)
    await asyncio.sleep(0.05)  # or the reset overtakes what was said
    exchange.cut()


async def _truncated(exchange: Exchange) -> None:
    await say_before(exchange)
    await exchange.end()


def say_then(data: bytes) -> Script:
    """Words, and then these bytes in the place of an event."""

    async def script(exchange: Exchange) -> None:
        await say_before(exchange)
        await exchange.raw(data)
        await exchange.finish("stop")

    return script


async def _error_halfway(exchange: Exchange) -> None:
    await say_before(exchange)
    await exchange.event({"error": {"message": "The engine fell over", "type": "server_error", "code": 500}})
    await exchange.end()


# Connections that break or fall silent do so in any format.
BREAKING: dict[str, Script] = {
    Trouble.NO_RESPONSE: _no_response,
    Trouble.SLOW_FIRST_TOKEN: _slow_first_token,
    Trouble.STALL: _stall,
    Trouble.DISCONNECT: _disconnect,
    Trouble.TRUNCATED: _truncated,
}
SCRIPTS: dict[str, Script] = {
    **BREAKING,
    Trouble.RATE_LIMITED: _rate_limited,
    Trouble.SERVER_ERROR: _server_error,
    Trouble.OVERLOADED: _overloaded,
    Trouble.AWAY: _away,
    Trouble.WRONG_KEY: _wrong_key,
    Trouble.NO_SUCH_MODEL: _no_such_model,
    Trouble.TOO_LONG: _too_long,
    Trouble.REFUSED: _refused,
    Trouble.BROKEN_JSON: say_then(b'data: {"choices": [\n\n'),
    Trouble.BROKEN_SHAPE: say_then(b'data: {"choices": "none of your business"}\n\n'),
    Trouble.BROKEN_UTF8: say_then(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n'),
    Trouble.ERROR_HALFWAY: _error_halfway,
}
