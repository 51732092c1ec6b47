import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from common.errors import Timeout
from common.providers.complete import complete
from common.providers.protocol import Delta
from tests.contract.subjects import Subject, Troubled, require
from tests.contract.troubles import SILENT, Trouble

PATIENCE_SECONDS = 180


async def idle(subject: Subject) -> None:
    """Wait until the server works for us no more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await subject.is_idle():  # noqa: ASYNC110  # a real server can only be asked again
            await asyncio.sleep(0.02)


async def test_a_stream_closed_after_its_first_token_stops_the_server(subject: Subject) -> None:
    async with aclosing(subject.provider.stream(subject.endless(timeout_seconds=PATIENCE_SECONDS))) as stream:
        first = await anext(stream)
    assert first.text
    await idle(subject)


async def test_a_consumer_cancelled_between_tokens_stops_the_server(subject: Subject) -> None:
    heard = asyncio.Event()

    async def listen() -> None:
        async with aclosing(subject.provider.stream(subject.endless(timeout_seconds=PATIENCE_SECONDS))) as stream:
            async for _ in stream:
                heard.set()

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await heard.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await idle(subject)


@pytest.mark.parametrize("trouble", [Trouble.NO_RESPONSE, Trouble.SLOW_FIRST_TOKEN])
async def test_a_consumer_cancelled_before_the_first_token_stops_the_server(
    troubled: Troubled, trouble: Trouble
) -> None:
    require(troubled, trouble)
    patient = replace(troubled.troubled(trouble), timeout_seconds=PATIENCE_SECONDS)
    waiting = asyncio.create_task(complete(troubled.provider, patient))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await troubled.until_asked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await idle(troubled)


async def test_a_server_is_stopped_while_it_still_reads_the_prompt(subject: Subject) -> None:
    waiting = asyncio.create_task(complete(subject.provider, subject.endless(timeout_seconds=PATIENCE_SECONDS)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await idle(subject)


@pytest.mark.parametrize("trouble", sorted(SILENT))
async def test_a_silent_server_is_left_at_the_deadline(troubled: Troubled, trouble: Trouble) -> None:
    require(troubled, trouble)
    request = troubled.troubled(trouble)
    with pytest.raises(Timeout, match=rf"within {re.escape(f'{request.timeout_seconds:g}')} s"):
        await complete(troubled.provider, request)
    await idle(troubled)


async def test_a_server_that_never_ends_is_left_at_the_deadline(subject: Subject) -> None:
    with pytest.raises(Timeout):
        await complete(subject.provider, subject.endless(timeout_seconds=0.3))
    await idle(subject)


async def test_the_deadline_does_not_strike_a_consumer_that_is_busy_elsewhere(
    troubled: Troubled, pass_time: Callable[[float], None]
) -> None:
    async with aclosing(troubled.provider.stream(troubled.endless(timeout_seconds=PATIENCE_SECONDS))) as stream:
        assert (await anext(stream)).text
        pass_time(PATIENCE_SECONDS)
        await asyncio.sleep(0.01)  # past the deadline, and not the adapter's to interrupt
        with pytest.raises(Timeout):
            await exhaust(stream)


async def exhaust(stream: AsyncGenerator[Delta]) -> None:
    async for _ in stream:
        pass
