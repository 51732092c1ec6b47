from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from common.errors import ProviderError
from common.providers.complete import complete
from common.providers.protocol import Delta
from tests.contract.subjects import Troubled, require
from tests.contract.troubles import EXPECTED, HALFWAY, PATIENT, RETRY_AFTER_SECONDS, SILENT, Trouble

PATIENCE_SECONDS = 60


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_each_trouble_has_its_error(troubled: Troubled, trouble: Trouble) -> None:
    require(troubled, trouble)
    with pytest.raises(ProviderError) as caught:
        await complete(troubled.provider, troubled.troubled(trouble))
    assert type(caught.value) is EXPECTED[trouble]
    assert 0 < len(caught.value.message) < 1000


@pytest.mark.parametrize("trouble", sorted(PATIENT))
async def test_a_server_s_wish_for_patience_is_handed_on(troubled: Troubled, trouble: Trouble) -> None:
    require(troubled, trouble)
    with pytest.raises(ProviderError) as caught:
        await complete(troubled.provider, troubled.troubled(trouble))
    assert caught.value.retry_after_seconds == RETRY_AFTER_SECONDS
    assert caught.value.is_retryable


@pytest.mark.parametrize("trouble", sorted(HALFWAY))
async def test_what_was_said_before_the_trouble_has_been_heard(
    troubled: Troubled, trouble: Trouble, pass_time: Callable[[float], None]
) -> None:
    require(troubled, trouble)
    patient = replace(troubled.troubled(trouble), timeout_seconds=PATIENCE_SECONDS)
    async with aclosing(troubled.provider.stream(patient)) as stream:
        heard = [await anext(stream)]
        if trouble in SILENT:
            pass_time(PATIENCE_SECONDS)
        with pytest.raises(ProviderError):
            await listen(stream, heard)
    assert "".join(delta.text for delta in heard)
    assert all(delta.finish_reason is None for delta in heard)


async def listen(stream: AsyncGenerator[Delta], heard: list[Delta]) -> None:
    async for delta in stream:
        heard.append(delta)  # noqa: PERF401  # an extend would lose what came before the error


async def test_the_adapter_serves_on_after_every_trouble(troubled: Troubled) -> None:
    for trouble in set(Trouble) - troubled.cannot.keys():
        with pytest.raises(ProviderError):
            await complete(troubled.provider, troubled.troubled(trouble))
        assert (await complete(troubled.provider, troubled.asked())).finish_reason == "stop"
