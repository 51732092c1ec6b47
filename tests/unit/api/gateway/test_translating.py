"""Answers by way of an adapter, and how long they may take."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.gateway.asked import Asked, parse
from api.gateway.faults import Fault
from api.gateway.kinds import CHAT
from api.gateway.translating import LONGEST_ANSWER_SECONDS, Translating
from common.catalog.entry import ModelEntry
from common.errors import BadUpstream, Timeout
from common.providers.length import MAX_ANSWER_CHARACTERS
from common.providers.mock import MockProvider
from common.providers.protocol import Delta, ModelRequest, Provider
from common.providers.registry import Providers
from tests.unit.common.catalogs import catalog, settings

ENTRY = ModelEntry.model_validate({"id": "mock-a"})


class Adapter(MockProvider):
    """Says a word, and either stops or falls silent. Keeps how long it was given."""

    def __init__(self, word: str = "Wet.", *, falls_silent: bool = False) -> None:
        super().__init__()
        self.word = word
        self.falls_silent = falls_silent
        self.given_seconds: list[float] = []

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        self.given_seconds.append(request.timeout_seconds)
        yield Delta(self.word)
        if self.falls_silent:
            await asyncio.Event().wait()
        yield Delta(finish_reason="stop")


class OneAdapter(Providers):
    """Has that one for every model."""

    def __init__(self, folder: Path, adapter: Adapter) -> None:
        models = catalog(folder)
        super().__init__(settings(ultra_call_timeout_seconds=0.05), lambda: models)
        self._adapter = adapter

    async def get(self, entry: ModelEntry) -> Provider:
        return self._adapter


def asked(**more: Any) -> Asked:
    return parse(CHAT, orjson.dumps({"model": "mock-a", "messages": [{"role": "user", "content": "Why?"}], **more}))


async def streamed(way: Translating) -> bytes:
    stream = await way.stream(asked(stream=True), ENTRY)
    try:
        async with aclosing(stream.blocks()) as blocks:
            return b"".join([block async for block in blocks])
    finally:
        await stream.close()


async def test_an_answer_may_take_longer_than_the_waits_for_its_pieces_whole_or_streamed(tmp_path: Path) -> None:
    adapter = Adapter()
    way = Translating(OneAdapter(tmp_path, adapter))
    [choice] = orjson.loads((await way.whole(asked(), ENTRY)).document)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Wet.", "stop")
    assert b'"finish_reason":"stop"' in await streamed(way)
    assert adapter.given_seconds == [LONGEST_ANSWER_SECONDS] * 2


async def test_one_that_falls_silent_has_timed_out(tmp_path: Path) -> None:
    way = Translating(OneAdapter(tmp_path, Adapter(falls_silent=True)))
    for answering in (way.whole(asked(), ENTRY), streamed(way)):
        with pytest.raises(Fault, match=r"mock was silent for 0\.05 s") as caught:
            await answering
        assert isinstance(caught.value.error, Timeout)


async def test_one_without_end_is_a_fault_of_its_server_that_others_may_make_good(tmp_path: Path) -> None:
    way = Translating(OneAdapter(tmp_path, Adapter("x" * (MAX_ANSWER_CHARACTERS + 1))))
    with pytest.raises(Fault) as caught:
        await way.whole(asked(), ENTRY)
    assert isinstance(caught.value.error, BadUpstream)
