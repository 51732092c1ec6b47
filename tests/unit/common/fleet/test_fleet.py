import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.errors import DependencyDown, NotStarted
from common.fleet.contracts import Endpoint, State
from common.fleet.fleet import FRESH_SECONDS, STALE_SECONDS, Fleet
from common.fleet.standing import Standing
from tests.unit.common.fleet.scripted_rows import ScriptedRows, local_model

MODEL = local_model()
ID = MODEL.id


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def rows() -> ScriptedRows:
    return ScriptedRows()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rung() -> list[str]:
    return []


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
async def fleet(rows: ScriptedRows, clock: Clock, rung: list[str], waits: list[float]) -> AsyncIterator[Fleet]:
    fleet = Fleet(rows, ring=rung.append, waited=waits.append, look_seconds=0.001, clock=clock)
    yield fleet
    await fleet.close()


def waiting(fleet: Fleet, **more: Any) -> asyncio.Task[Endpoint]:
    return asyncio.create_task(fleet.ready(MODEL, **more))


async def test_a_ready_model_is_asked_for_by_nobody(fleet: Fleet, rows: ScriptedRows, rung: list[str]) -> None:
    endpoint = rows.be_ready(ID)
    assert await fleet.ready(MODEL) == endpoint
    assert (rows.looks, rows.wishes, rung) == (1, [], [])


async def test_what_is_known_is_not_looked_up_again(fleet: Fleet, rows: ScriptedRows) -> None:
    endpoint = rows.be_ready(ID)
    for _ in range(100):
        assert await fleet.ready(MODEL) == endpoint
        await asyncio.sleep(0)  # whoever was to look has had its turn
    assert rows.looks == 1


async def test_what_has_aged_still_serves_while_it_is_looked_up(fleet: Fleet, rows: ScriptedRows, clock: Clock) -> None:
    first = rows.be_ready(ID)
    await fleet.ready(MODEL)
    clock.now += FRESH_SECONDS
    second = rows.be_ready(ID, generation=2)
    assert fleet.endpoint(ID) == first
    await idle(fleet)
    assert fleet.endpoint(ID) == second


async def test_what_is_old_serves_nobody(fleet: Fleet, rows: ScriptedRows, clock: Clock) -> None:
    rows.be_ready(ID)
    await fleet.ready(MODEL)
    clock.now += STALE_SECONDS
    assert fleet.endpoint(ID) is None


async def test_fifty_who_wait_are_one_wish_and_share_the_looks(
    fleet: Fleet, rows: ScriptedRows, rung: list[str]
) -> None:
    tasks = [waiting(fleet) for _ in range(50)]
    await rows.wished()
    before = rows.looks
    await rows.looked_again(3)
    assert rows.looks <= before + 5
    endpoint = rows.be_ready(ID)
    assert await asyncio.gather(*tasks) == [endpoint] * 50
    assert (rows.wishes, rung) == ([ID], [ID])


async def test_every_wait_for_a_start_is_told_of_however_it_ends(
    fleet: Fleet, rows: ScriptedRows, clock: Clock, waits: list[float]
) -> None:
    left, refused = waiting(fleet), waiting(fleet)
    await rows.looked_again()
    clock.now += 2
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    clock.now += 3
    rows.fail(ID, "There is no file.")
    await asyncio.gather(refused, return_exceptions=True)
    assert waits == [2, 5]
    served = waiting(fleet)
    await rows.looked_again()
    clock.now += 7
    rows.be_ready(ID)
    await served
    assert waits == [2, 5, 7]


async def test_who_finds_the_model_ready_has_not_waited(fleet: Fleet, rows: ScriptedRows, waits: list[float]) -> None:
    rows.be_ready(ID)
    await fleet.ready(MODEL)
    await fleet.ready(MODEL)
    assert waits == []


async def test_the_start_is_not_tied_to_whoever_came_first(fleet: Fleet, rows: ScriptedRows) -> None:
    first, second = waiting(fleet), waiting(fleet)
    await rows.wished()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    endpoint = rows.be_ready(ID)
    assert await second == endpoint
    assert rows.wishes == [ID]


async def test_once_nobody_waits_nobody_looks(fleet: Fleet, rows: ScriptedRows) -> None:
    task = waiting(fleet)
    await rows.wished()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await idle(fleet)
    assert fleet._watches == {}


async def test_who_asks_for_another_model_waits_for_no_pause(rows: ScriptedRows) -> None:
    fleet, other = Fleet(rows, look_seconds=3600), local_model("local-b")
    first = waiting(fleet)
    await rows.wished()
    endpoint = rows.be_ready(other.id)
    async with asyncio.timeout(10):
        assert await fleet.ready(other) == endpoint
        await fleet.close()
    with pytest.raises(NotStarted, match="stopping"):
        await first


async def test_once_closed_nothing_looks_any_more(fleet: Fleet, rows: ScriptedRows) -> None:
    waits = [waiting(fleet), asyncio.create_task(fleet.ready(local_model("local-b")))]
    await rows.wished()
    await fleet.close()
    await asyncio.gather(*waits, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_failed_start_reaches_everybody_with_its_reason(fleet: Fleet, rows: ScriptedRows) -> None:
    tasks = [waiting(fleet) for _ in range(3)]
    await rows.wished()
    rows.fail(ID, "There is no file a.gguf.")
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(error, NotStarted)
        assert "no file a.gguf" in error.message


async def test_an_older_failure_is_no_answer_to_a_new_wish(fleet: Fleet, rows: ScriptedRows) -> None:
    rows.fail(ID, "That was yesterday.")
    task = waiting(fleet)
    await rows.wished()
    await rows.looked_again()
    assert not task.done()
    endpoint = rows.be_ready(ID)
    assert await task == endpoint


async def test_whoever_waits_for_a_model_that_is_stopped_is_told(fleet: Fleet, rows: ScriptedRows) -> None:
    task = waiting(fleet)
    await rows.wished()
    rows.stop(ID)
    with pytest.raises(NotStarted, match="told to stop"):
        await task


async def test_a_wait_has_an_end_and_says_how_far_it_came(
    fleet: Fleet, rows: ScriptedRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    clock = loop.time

    def told(_: Standing) -> None:
        monkeypatch.setattr(loop, "time", lambda: clock() + MODEL.load_seconds)

    rows.be(ID, State.PULLING, "Fetches 3 of 4 GiB.")
    with pytest.raises(NotStarted, match=r"not ready within 600 s; it is pulling: Fetches 3 of 4 GiB"):
        await fleet.ready(MODEL, told=told)


async def test_those_who_wait_hear_of_changes_and_of_nothing_else(fleet: Fleet, rows: ScriptedRows) -> None:
    heard: list[Standing] = []
    task = waiting(fleet, told=heard.append)
    await rows.wished()
    await rows.looked_again(3)
    rows.be(ID, State.STARTING)
    await rows.looked_again(3)
    rows.be_ready(ID)
    await task
    assert [one.state for one in heard] == [State.QUEUED, State.STARTING]


async def test_whoever_comes_later_hears_at_once_how_it_stands(fleet: Fleet, rows: ScriptedRows) -> None:
    first = waiting(fleet)
    await rows.wished()
    rows.be(ID, State.STARTING, "Loads.")
    await rows.looked_again(2)
    heard: list[Standing] = []
    second = waiting(fleet, told=heard.append)
    await asyncio.sleep(0)
    assert [one.reason for one in heard] == ["Loads."]
    rows.be_ready(ID)
    await asyncio.gather(first, second)


async def test_an_instance_that_refused_is_not_asked_before_its_node_looked_at_it(
    fleet: Fleet, rows: ScriptedRows
) -> None:
    endpoint = rows.be_ready(ID)
    await fleet.ready(MODEL)
    fleet.lost(ID, endpoint)
    task = waiting(fleet)
    await rows.wished()  # it may have to be started anew
    await rows.looked_again(2)
    assert not task.done()
    rows.be_seen(ID)
    assert await task == endpoint


async def test_a_later_instance_is_asked_at_once(fleet: Fleet, rows: ScriptedRows) -> None:
    endpoint = rows.be_ready(ID)
    await fleet.ready(MODEL)
    fleet.lost(ID, endpoint)
    second = rows.be_ready(ID, generation=2)
    assert await fleet.ready(MODEL) == second
    assert rows.wishes == []


async def test_a_straggler_s_loss_says_nothing_of_the_next_instance(fleet: Fleet, rows: ScriptedRows) -> None:
    first = rows.be_ready(ID)
    await fleet.ready(MODEL)
    fleet.lost(ID, first)
    second = rows.be_ready(ID, generation=2)
    await fleet.ready(MODEL)
    fleet.lost(ID, first)
    assert fleet.endpoint(ID) == second


async def test_where_nobody_can_start_it_that_is_said_after_a_while(rows: ScriptedRows) -> None:
    rows.live_nodes = []
    fleet = Fleet(rows, look_seconds=0.001, nobody_seconds=0.02)
    with pytest.raises(NotStarted, match="ultra worker lifecycle"):
        await fleet.ready(MODEL)
    await fleet.close()


async def test_without_postgres_those_who_wait_go_on_waiting(
    fleet: Fleet, rows: ScriptedRows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.away = DependencyDown("Postgres is away.")
    with caplog.at_level(logging.WARNING):
        task = waiting(fleet)
        await rows.looked_again(3)
    assert not task.done()
    rows.away = None
    endpoint = rows.be_ready(ID)
    assert await task == endpoint


async def test_without_postgres_what_was_known_last_serves(fleet: Fleet, rows: ScriptedRows, clock: Clock) -> None:
    endpoint = rows.be_ready(ID)
    await fleet.ready(MODEL)
    clock.now += 10 * STALE_SECONDS
    rows.away = DependencyDown("Postgres is away.")
    assert await fleet.ready(MODEL) == endpoint


async def test_a_fault_of_our_own_leaves_nobody_waiting(
    fleet: Fleet, rows: ScriptedRows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.away = KeyError("no such column")
    with pytest.raises(NotStarted, match="KeyError"):
        await fleet.ready(MODEL)
    assert "cannot be read" in caplog.text


async def idle(fleet: Fleet) -> None:
    """Wait until it looks no more."""
    if fleet._looking is not None:
        await asyncio.wait_for(fleet._looking, 60)
