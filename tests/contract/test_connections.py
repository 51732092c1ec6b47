"""What becomes of connections between requests: used again, and never a failure of their own."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from common.errors import BadUpstream
from common.providers.complete import complete
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import PROSE, Parting
from tests.contract.subjects import ScriptedSubject

STREAMS = 300


async def ask(scripted: ScriptedSubject, model: str = "good") -> str:
    return (await complete(scripted.provider, scripted.asked(model=model, timeout_seconds=20))).text


@pytest.mark.parametrize("parting", list(Parting))
async def test_no_failure_reaches_anybody_however_a_server_parts(scripted: ScriptedSubject, parting: Parting) -> None:
    scripted.server.parting = parting
    for _ in range(STREAMS):
        assert await ask(scripted) == " ".join(PROSE)
    assert len(scripted.server.exchanges) == STREAMS


@pytest.mark.parametrize("parting", list(Parting))
async def test_nor_where_many_ask_at_once(scripted: ScriptedSubject, parting: Parting) -> None:
    scripted.server.parting = parting
    for _ in range(10):
        assert set(await asyncio.gather(*(ask(scripted) for _ in range(30)))) == {" ".join(PROSE)}
    assert len(scripted.server.exchanges) == STREAMS


async def test_a_connection_is_used_again_for_as_long_as_its_server_allows(scripted: ScriptedSubject) -> None:
    scripted.server.parting = Parting.NEVER
    for _ in range(STREAMS):
        await ask(scripted)
    await scripted.provider.list_models()
    assert scripted.server.connections == 1


async def test_a_request_is_said_again_to_a_server_that_left_without_a_word(scripted: ScriptedSubject) -> None:
    scripted.server.parting = Parting.AT_THE_NEXT_REQUEST
    await ask(scripted)
    await ask(scripted)
    assert len(scripted.server.exchanges) == 2
    assert scripted.server.connections == 2


async def hang_up(exchange: Exchange) -> None:
    exchange.cut()


async def hang_up_in_the_head(exchange: Exchange) -> None:
    await exchange.partial_head()
    await asyncio.sleep(0.05)  # or the reset overtakes what was said
    exchange.cut()


async def hang_up_in_the_answer(exchange: Exchange) -> None:
    await exchange.begin()
    await asyncio.sleep(0.05)
    exchange.cut()


@pytest.mark.parametrize(
    ("script", "times"),
    [(hang_up, 2), (hang_up_in_the_head, 1), (hang_up_in_the_answer, 1)],
)
async def test_on_an_old_connection_a_request_is_said_again_once_and_never_after_a_byte_of_answer(
    scripted: ScriptedSubject, script: Callable[[Exchange], Awaitable[None]], times: int
) -> None:
    scripted.server.parting = Parting.NEVER
    scripted.server.scripts["bad"] = script
    await ask(scripted)
    with pytest.raises(BadUpstream):
        await ask(scripted, "bad")
    assert [exchange.body["model"] for exchange in scripted.server.exchanges] == ["good", *["bad"] * times]


async def test_on_a_connection_of_its_own_a_request_is_said_once(scripted: ScriptedSubject) -> None:
    scripted.server.scripts["bad"] = hang_up
    with pytest.raises(BadUpstream):
        await ask(scripted, "bad")
    assert len(scripted.server.exchanges) == 1
