"""A server that speaks Gemini's wire format as a test tells it to, event by event."""

import json
from typing import Any
from urllib.parse import urlsplit

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import Script, ScriptedServer

MODEL = "gemini-2.5-pro"


class GeminiServer(ScriptedServer):
    """Says yes, until it is given another `script`."""

    prefix = ""

    def __init__(self) -> None:
        super().__init__()
        self.script = saying("Yes.")


def chunk(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What one event says; `fields` stand beside the content."""
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": list(parts)}, **fields}]}


def encoded(document: Any) -> bytes:
    """An event as Google writes it, which ends its lines with CR LF."""
    return f"data: {json.dumps(document)}\r\n\r\n".encode()


async def say(exchange: Exchange, *parts: dict[str, Any], **fields: Any) -> None:
    await exchange.raw(encoded(chunk(*parts, **fields)))


async def finish(exchange: Exchange, reason: str = "STOP", **counts: int) -> None:
    """The reason and the usage, which come with an empty text, and the end of the body."""
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7, **counts}
    await exchange.raw(encoded({**chunk({"text": ""}, finishReason=reason), "usageMetadata": usage}))
    await exchange.end()


def saying(*texts: str, reason: str = "STOP") -> Script:
    """A script that says these, and ends for that reason."""

    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        for text in texts:
            await say(exchange, {"text": text})
        await finish(exchange, reason)

    return script


def answering(document: Any) -> Script:
    """A script that answers with a whole document: JSON, or a string as it is."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, document, content_type="application/json")

    return script


def refusing(code: int, status: str, message: str, *details: dict[str, Any], **headers: str) -> Script:
    """A script that answers with Google's error object."""

    async def script(exchange: Exchange) -> None:
        error = {"code": code, "message": message, "status": status, "details": list(details)}
        await exchange.answer(code, {"error": error}, content_type="application/json", **headers)

    return script


def texts_of(exchange: Exchange) -> list[str]:
    """What `batchEmbedContents` was asked about."""
    return [request["content"]["parts"][0]["text"] for request in exchange.body["requests"]]


def query_of(exchange: Exchange) -> str:
    return urlsplit(exchange.path).query
