"""Who stays, who leaves and who never starts, on a real engine. The planner's own tests know far more cases."""

import asyncio

import pytest

from tests.integration.lifecycle.station import HELD, Station, ask, is_busy, is_ready

pytestmark = pytest.mark.docker


async def test_a_model_that_nobody_calls_leaves_after_its_time(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    call = asyncio.create_task(ask(await station.ready(model), prompt=HELD))
    await station.until(model, is_busy)
    station.has("a", ttl=1)  # not before: it might have left by the time it is asked
    await asyncio.sleep(3)  # longer than its time: a call is not idle
    [released] = await station.sql("SELECT clock_timestamp() AS at")
    station.release()
    assert (await call)[0] == 200
    assert "Idle" in (await station.gone(model))["reason"]
    [retired] = await station.sql("SELECT at FROM model_events WHERE kind = 'retired'")
    assert retired["at"] > released["at"]


async def test_the_longest_idle_makes_room_and_a_busy_one_does_not(station: Station) -> None:
    models = [station.has(name, memory="1 GiB") for name in ("a", "b", "c")]
    station.start_worker(ULTRA_MODEL_MEMORY_MIB="2400")
    busy, idle = await station.ready(models[0]), await station.ready(models[1])
    call = asyncio.create_task(ask(busy, prompt=HELD))
    await station.until(models[0], is_busy)
    await station.want(models[2])
    await station.until(models[2], is_ready)
    assert await station.containers(models[1]) == []
    assert (await station.look(models[1]))["reason"] == f"Makes room for {models[2]}."
    assert (await station.look(models[0]))["container"] == busy["container"]
    assert idle["container"] not in [one.id for one in await station.containers()]
    station.release()
    assert (await call)[0] == 200


async def test_a_model_that_can_never_fit_is_refused_at_once_with_the_arithmetic(station: Station) -> None:
    model = station.has("a", memory="8 GiB")
    station.start_worker()
    await station.want(model)
    row = await station.until(model, lambda row: row["state"] == "failed")
    assert row["fault"]["code"] == "does_not_fit"
    assert "GiB" in row["fault"]["message"]
    assert await station.containers() == []


async def test_an_entry_that_changes_is_served_by_a_new_container(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    before = await station.ready(model)
    station.has("a", memory="256 MiB")
    after = await station.until(model, lambda row: row["is_ready"] and row["generation"] > before["generation"])
    assert after["host_bytes"] == 256 << 20
    assert [one.id for one in await station.containers(model)] == [after["container"]]


async def test_starting_and_stopping_twenty_times_leaves_nothing(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    for generation in range(1, 21):
        assert (await station.ready(model))["generation"] == generation
        await station.unwant(model, drain_seconds=5)
        await station.gone(model)
    assert await station.containers() == []
    assert await station.sql("SELECT * FROM instances") == []
