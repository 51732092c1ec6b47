"""The scripted server in Ollama's wire format: JSON a line, errors of one sentence.

As there, it does what the asked model's name says, and closes the connection after each answer.
"""

import json
from typing import Any

from common.providers.mock_json import document
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import (
    BREAKING,
    MODELS,
    PROSE,
    Script,
    ScriptedServer,
    say_before,
    say_then,
)
from tests.contract.troubles import RETRY_AFTER_SECONDS, Trouble

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n"
    b"keep-alive: timeout=5, max=100\r\n\r\n"
)
WHEN = "2026-11-21T12:00:00.123456789Z"


class OllamaExchange(Exchange):
    """What an answer consists of, in Ollama's words."""

    async def begin(self) -> None:
        """The head of a stream."""
        self._writer.write(HEAD)
        await self._writer.drain()

    async def say(self, content: str | None = "", **message: Any) -> None:
        """A piece of the answer."""
        await self.line(message={"role": "assistant", "content": content, **message}, done=False)

    async def finish(self, reason: str = "stop", prompt_tokens: int = 3, completion_tokens: int = 0) -> None:
        """The last line and the end of the body."""
        message = {"role": "assistant", "content": ""}
        counts = {"prompt_eval_count": prompt_tokens, "eval_count": completion_tokens}
        await self.line(message=message, done=True, done_reason=reason, total_duration=5_000_000, **counts)
        await self.end()

    async def line(self, **fields: Any) -> None:
        """One line. JSON spells what is not ASCII, lone surrogates and all."""
        said = {"model": self.body["model"], "created_at": WHEN, **fields}
        await self.raw(json.dumps(said).encode() + b"\n")


class ScriptedOllama(ScriptedServer):
    """Three endpoints at the root of its URL."""

    speaks = OllamaExchange
    prefix = ""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = dict(SCRIPTS)

    def _script(self, exchange: Exchange) -> Script:
        match exchange.method, exchange.path:
            case "GET", "/api/tags":
                return self.scripts.get("/api/tags", _list)
            case "POST", "/api/chat":
                return self.scripts.get(exchange.body["model"], _answer)
            case "POST", "/api/embed":
                return self.scripts.get(exchange.body["model"], _embed)
        return lambda lost: lost.answer(404, "404 page not found", content_type="text/plain")


def refusing(status: int, error: Any, **headers: str) -> Script:
    """An answer with nothing but an error."""
    return lambda exchange: exchange.answer(status, {"error": error}, content_type="application/json", **headers)


async def _list(exchange: Exchange) -> None:
    models = [{"name": name, "model": name, "modified_at": WHEN, "size": 1, "details": {}} for name in MODELS]
    await exchange.answer(200, {"models": models}, content_type="application/json")


async def _embed(exchange: Exchange) -> None:
    texts, size = exchange.body["input"], exchange.body.get("dimensions", 8)
    vectors = [[float(len(text) + place) for place in range(size)] for text in texts]
    counted = {"prompt_eval_count": sum(len(text.split()) for text in texts)}
    await exchange.answer(200, {"embeddings": vectors, **counted}, content_type="application/json")


async def _answer(exchange: Exchange) -> None:
    """A call of each tool where none has answered yet; else words, no more than `num_predict` of them."""
    body = exchange.body
    await exchange.begin()
    prompt_tokens = sum(len(message["content"].split()) for message in body["messages"])
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        for tool in body["tools"]:
            await exchange.say(tool_calls=[_called(tool["function"])])
        await exchange.finish("stop", prompt_tokens, len(body["tools"]))
        return
    words, longest = _words(body), body.get("options", {}).get("num_predict") or 1_000
    said = words[:longest]
    for place, word in enumerate(said):
        await exchange.say(word if place == 0 else f" {word}")
    reason = "stop" if said == words else "length"
    await exchange.finish(reason, prompt_tokens, len(said))


def _called(function: dict[str, Any]) -> dict[str, Any]:
    arguments = json.loads(document(function["parameters"], digest=b"scripted"))
    return {"function": {"name": function["name"], "arguments": arguments}}


def _words(body: dict[str, Any]) -> list[str]:
    """The story, or a document of the schema that was sent; up to a stop sequence."""
    text = " ".join(PROSE)
    if (schema := body.get("format")) is not None:
        text = document(schema, digest=b"scripted")
    for stop in body.get("options", {}).get("stop", ()):
        text = text.partition(stop)[0]
    return text.split(" ")


async def _no_such_model(exchange: Exchange) -> None:
    await refusing(404, f"model '{exchange.body['model']}' not found")(exchange)


async def _error_halfway(exchange: Exchange) -> None:
    await say_before(exchange)
    await exchange.raw(b'{"error": "an error was encountered while running the model"}\n')
    await exchange.end()


SCRIPTS: dict[str, Script] = {
    **BREAKING,
    Trouble.RATE_LIMITED: refusing(429, "too many requests", retry_after=str(RETRY_AFTER_SECONDS)),
    Trouble.SERVER_ERROR: refusing(500, "llama runner process has terminated: " + "signal: killed. " * 10_000),
    Trouble.OVERLOADED: refusing(503, "server busy, please try again.  maximum pending requests exceeded"),
    Trouble.AWAY: refusing(503, "server busy, please try again.", retry_after=str(RETRY_AFTER_SECONDS)),
    Trouble.WRONG_KEY: refusing(401, "unauthorized"),
    Trouble.NO_SUCH_MODEL: _no_such_model,
    Trouble.TOO_LONG: refusing(400, "the input length exceeds the context length"),
    # Ollama refuses no content; a gateway before it may
    Trouble.REFUSED: refusing(400, {"message": "The prompt was filtered.", "code": "content_filter"}),
    Trouble.BROKEN_JSON: say_then(b'{"message": {\n'),
    Trouble.BROKEN_SHAPE: say_then(b'{"message": "none of your business", "done": false}\n'),
    Trouble.BROKEN_UTF8: say_then(b'{"message": {"content": "\xff\xfe"}, "done": false}\n'),
    Trouble.ERROR_HALFWAY: _error_halfway,
}
