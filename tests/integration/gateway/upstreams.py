"""Servers behind the gateway: the scripted one of the contract suite, with scripts of our own."""

import asyncio
from dataclasses import fields
from typing import Any

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import PROSE, Script, ScriptedServer

TEXT = " ".join(PROSE)
USAGE = {"prompt_tokens": 3, "completion_tokens": len(PROSE), "total_tokens": 3 + len(PROSE)}
SAID_FIRST = "Long ago. "
LONG_WORD = "x" * 8192


def upstream() -> ScriptedServer:
    """A server with a model for each trouble, and `good`, `endless`, `slow-start`."""
    server = ScriptedServer()
    server.scripts |= {"good": good, "endless": endless}
    return server


async def good(exchange: Exchange) -> None:
    """Prose, as a stream or whole, as it was asked for."""
    if not exchange.body.get("stream"):
        await whole(exchange)
        return
    await exchange.begin()
    for place, word in enumerate(PROSE):
        await exchange.say(word if place == 0 else f" {word}")
    await exchange.finish("stop", completion_tokens=len(PROSE))


async def whole(exchange: Exchange) -> None:
    """A whole answer that is nearly what OpenAI would give."""
    message = {"role": "assistant", "content": TEXT, "tool_calls": None}
    answer: dict[str, Any] = {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "something-else",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
        "system_fingerprint": None,
    }
    await exchange.answer(200, answer, content_type="application/json")


def midway(script: Script, told: asyncio.Event) -> Script:
    """The script's trouble, once the client has `told` that the first words reached it."""

    async def begun(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say(SAID_FIRST)
        await told.wait()
        await script(_Begun(**{field.name: getattr(exchange, field.name) for field in fields(exchange)}))

    return begun


class _Begun(Exchange):
    async def begin(self) -> None:
        """It has."""


async def endless(exchange: Exchange) -> None:
    """Words for as long as somebody takes them."""
    await exchange.begin()
    try:
        while True:
            await exchange.say(LONG_WORD)
    except ConnectionError:
        exchange.client_left.set()
        raise
