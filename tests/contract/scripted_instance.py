"""A container of a model as its callers see it: the runner's contract, and whatever trouble a test orders."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import read_exchange

WORDS = ["Air", "scatters", "blue", "light."]
TEXT = " ".join(WORDS)
USAGE = {"prompt_tokens": 5, "completion_tokens": len(WORDS), "total_tokens": 5 + len(WORDS)}


class ScriptedInstance:
    """Serves one model. `refusing` is the code with which calls are turned away, if they are.

    `may_answer` holds calls back while it is cleared; `dies_midway` cuts each answer after its first word.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.refusing: str | None = None
        self.dies_midway = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked: list[dict[str, Any]] = []
        self.was_asked = asyncio.Event()
        self.base_url = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ScriptedInstance"]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            async with asyncio.timeout(5):
                await self._server.wait_closed()

    def close_door(self) -> None:
        """Take no more connections: what is begun goes on."""
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while exchange := await read_exchange(reader, writer):
                    await self._answer(exchange)
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, exchange: Exchange) -> None:
        self.asked.append(exchange.body)
        self.was_asked.set()
        if self.refusing is not None:
            await exchange.error(503, f"It is {self.refusing}.", self.refusing, "server_error", retry_after="1")
        elif exchange.body["model"] != self.model:
            said = f"{self.model} is served here, not {exchange.body['model']}."
            await exchange.error(404, said, "model_not_found", "invalid_request_error")
        elif exchange.path == "/v1/embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}]
            await self._whole(exchange, {"object": "list", "data": data, "model": self.model, "usage": USAGE})
        else:
            await self.may_answer.wait()
            await (self._stream(exchange) if exchange.body.get("stream") else self._completion(exchange))

    async def _stream(self, exchange: Exchange) -> None:
        await exchange.begin()
        for place, word in enumerate(WORDS):
            await exchange.say(word if place == 0 else f" {word}")
            if self.dies_midway:
                await asyncio.sleep(0.05)  # or the reset overtakes what was said
                exchange.cut()
                return
        await exchange.finish("stop", prompt_tokens=5, completion_tokens=len(WORDS))

    async def _completion(self, exchange: Exchange) -> None:
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.model}
        await self._whole(exchange, answer | {"choices": [choice], "usage": USAGE})

    async def _whole(self, exchange: Exchange, document: dict[str, Any]) -> None:
        await exchange.answer(200, document, content_type="application/json")
