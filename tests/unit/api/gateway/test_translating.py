"""Answers by way of an adapter, and how long they may take."""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.gateway.asked import Asked, parse
from api.gateway.faults import Fault
from api.gateway.kinds import CHAT
from api.gateway.translating import Translating
from common.catalog.catalog import Catalog
from common.errors import Timeout
from common.providers.registry import Providers
from tests.unit.common.catalogs import catalog, settings

PATIENCE_SECONDS = 0.2
SLOWLY = """\
    defaults:
      models: [mock-steady]
    models:
      mock-steady: {parameters: {extra: {tokens: 8, tokens_per_second: 20}}}
      mock-silent: {parameters: {extra: {tokens: 8, tokens_per_second: 0.1}}}
"""


@pytest.fixture
def models(tmp_path: Path) -> Catalog:
    return catalog(tmp_path, SLOWLY)


@pytest.fixture
def way(models: Catalog) -> Translating:
    return Translating(Providers(settings(ultra_call_timeout_seconds=PATIENCE_SECONDS), lambda: models))


def asked(model: str, **more: Any) -> Asked:
    body = {"model": model, "messages": [{"role": "user", "content": "Why?"}], **more}
    return parse(CHAT, orjson.dumps(body))


async def test_a_whole_answer_may_take_longer_than_any_wait_for_a_piece_of_it(
    way: Translating, models: Catalog
) -> None:
    answer = await way.whole(asked("mock-steady"), models.resolve("mock-steady"))
    assert answer.waited_seconds > PATIENCE_SECONDS
    [choice] = orjson.loads(answer.document)["choices"]
    assert len(choice["message"]["content"].split()) == 8


async def test_so_may_a_stream(way: Translating, models: Catalog) -> None:
    stream = await way.stream(asked("mock-steady", stream=True), models.resolve("mock-steady"))
    async with aclosing(stream.blocks()) as blocks:
        said = b"".join([block async for block in blocks])
    assert b'"finish_reason":"stop"' in said
    await stream.close()


async def test_one_that_falls_silent_has_timed_out(way: Translating, models: Catalog) -> None:
    with pytest.raises(Fault) as whole:
        await way.whole(asked("mock-silent"), models.resolve("mock-silent"))
    assert isinstance(whole.value.error, Timeout)
    stream = await way.stream(asked("mock-silent", stream=True), models.resolve("mock-silent"))
    with pytest.raises(Fault, match="silent"):
        async for _ in stream.blocks():
            pass
    await stream.close()
