"""A server that speaks Anthropic's wire format as a test tells it to, event by event."""

import json
from typing import Any

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import Script, ScriptedServer

MODEL = "claude-sonnet-4-6"


class MessagesServer(ScriptedServer):
    """Says yes, until it is given another `script`."""

    prefix = ""

    def __init__(self) -> None:
        super().__init__()
        self.script = saying("Yes.")


async def event(exchange: Exchange, kind: str, **fields: Any) -> None:
    """One event, whose name stands before it and in it."""
    data = json.dumps({"type": kind, **fields})
    await exchange.raw(f"event: {kind}\ndata: {data}\n\n".encode())


async def begin(exchange: Exchange) -> None:
    """The message, and its first block."""
    await _begin_with(exchange, {"type": "text", "text": ""})


async def begin_thinking(exchange: Exchange, thinking: str, signature: str) -> None:
    """The message, and a first block in which the model thinks."""
    await _begin_with(exchange, {"type": "thinking", "thinking": "", "signature": ""})
    for name, piece in (("thinking", thinking), ("signature", signature)):
        await event(exchange, "content_block_delta", index=0, delta={"type": f"{name}_delta", name: piece})
    await event(exchange, "content_block_stop", index=0)


async def _begin_with(exchange: Exchange, block: dict[str, str]) -> None:
    await exchange.begin()
    await event(exchange, "message_start", message={"usage": {"input_tokens": 3, "output_tokens": 1}})
    await event(exchange, "content_block_start", index=0, content_block=block)


async def say(exchange: Exchange, text: str) -> None:
    await event(exchange, "content_block_delta", index=0, delta={"type": "text_delta", "text": text})


async def finish(exchange: Exchange, reason: str = "end_turn", **delta: Any) -> None:
    await event(exchange, "content_block_stop", index=0)
    await event(exchange, "message_delta", delta={"stop_reason": reason, **delta}, usage={"output_tokens": 4})
    await event(exchange, "message_stop")
    await exchange.end()


def saying(*pieces: str, reason: str = "end_turn", **delta: Any) -> Script:
    """A script that says these, and ends for that reason."""

    async def script(exchange: Exchange) -> None:
        await begin(exchange)
        for piece in pieces:
            await say(exchange, piece)
        await finish(exchange, reason, **delta)

    return script


def refusing(status: int, kind: str, message: str, **headers: str) -> Script:
    """A script that answers with Anthropic's error envelope."""

    async def script(exchange: Exchange) -> None:
        envelope = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
        await exchange.answer(status, envelope, content_type="application/json", **headers)

    return script
