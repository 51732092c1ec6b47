"""A container of a model as its callers see it: the runner's contract, and whatever trouble a test orders."""

import asyncio
from typing import Any

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import Parting, ScriptedServer

WORDS = ["Air", "scatters", "blue", "light."]
TEXT = " ".join(WORDS)
USAGE = {"prompt_tokens": 5, "completion_tokens": len(WORDS), "total_tokens": 5 + len(WORDS)}


class ScriptedInstance(ScriptedServer):
    """Serves one model. `refusing` is the code with which calls are turned away, if they are.

    `may_answer` holds calls back while it is cleared; `dies_midway` cuts each answer after its first word.
    """

    prefix = ""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.parting = Parting.NEVER
        self.script = self._answer
        self.model = model
        self.refusing: str | None = None
        self.dies_midway = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @property
    def base_url(self) -> str:
        """As the fleet calls it."""
        return self.url

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The body of each call, whatever became of it."""
        return [exchange.body for exchange in self.exchanges]

    async def _answer(self, exchange: Exchange) -> None:
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
