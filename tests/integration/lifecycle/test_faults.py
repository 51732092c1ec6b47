"""What breaks while a model starts, serves or leaves. Everything converges, and nothing is left."""

import asyncio

import pytest

from tests.integration.lifecycle.station import (
    HELD,
    PATIENCE_SECONDS,
    Station,
    ask,
    docker,
    is_busy,
    is_draining,
    is_ready,
    kill,
)

pytestmark = pytest.mark.docker


async def test_a_worker_that_is_killed_while_a_model_loads_is_replaced_by_one_that_adopts_it(station: Station) -> None:
    model = station.has("a", environment={"LOAD_SECONDS": "4"})
    first = station.start_worker()
    await station.want(model)
    loading = await station.until(model, lambda row: row["container"] and row["started_at"])
    kill(first)
    station.start_worker()
    row = await station.until(model, is_ready)
    assert row["container"] == loading["container"]
    assert row["restarts"] == 0


async def test_a_worker_that_is_killed_while_a_model_serves_is_missed_by_nobody(station: Station) -> None:
    model = station.has("a")
    first = station.start_worker()
    before = await station.ready(model)
    kill(first)
    assert (await ask(before))[0] == 200
    station.start_worker()
    seen_at = before["seen_at"]
    after = await station.until(model, lambda row: row["seen_at"] > seen_at)
    assert after["is_ready"]
    assert (after["container"], after["generation"]) == (before["container"], before["generation"])


async def test_a_worker_that_is_killed_while_a_model_drains_is_replaced_by_one_that_sees_it_out(
    station: Station,
) -> None:
    model = station.has("a")
    first = station.start_worker()
    row = await station.ready(model)
    call = asyncio.create_task(ask(row, prompt=HELD))
    await station.until(model, is_busy)
    await station.unwant(model)
    draining = await station.until(model, is_draining)
    kill(first)
    station.start_worker()
    await station.until(model, lambda row: row["seen_at"] > draining["seen_at"])
    station.release()
    assert (await call)[0] == 200
    await station.gone(model)


async def test_a_container_whose_worker_died_before_it_told_it_to_leave_is_told_by_the_next(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    before = await station.ready(model)
    await station.sql(
        "UPDATE instances SET stop_reason = 'Makes room.', stop_by = now() + interval '1 hour' WHERE container = :c",
        c=before["container"],
    )
    after = await station.until(model, lambda row: row["is_ready"] and row["generation"] > before["generation"])
    assert after["failures"] == 0


async def test_a_worker_that_is_told_to_stop_leaves_the_models_as_they_are(station: Station) -> None:
    model = station.has("a")
    first = station.start_worker()
    row = await station.ready(model)
    first.terminate()
    assert await asyncio.to_thread(first.wait, 20) == 0
    assert (await ask(row))[0] == 200


async def test_a_container_that_is_killed_is_replaced_and_why_is_told(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    before = await station.ready(model)
    docker("kill", before["container"])
    after = await station.until(model, lambda row: row["is_ready"] and row["generation"] > 1)
    assert after["generation"] == 2
    assert [one.id for one in await station.containers(model)] == [after["container"]]
    [failed] = [one for one in await station.history(model) if one["kind"] == "failed"]
    assert failed["detail"]["code"] == "killed"


async def test_a_container_that_is_removed_by_somebody_is_replaced(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    before = await station.ready(model)
    docker("rm", "-f", before["container"])
    after = await station.until(model, lambda row: row["is_ready"] and row["generation"] > 1)
    assert [one.id for one in await station.containers(model)] == [after["container"]]


async def test_a_model_that_crashes_again_and_again_is_given_up_with_its_last_words(station: Station) -> None:
    model = station.has("a", environment={"FATAL": "load_failed 6"})
    station.start_worker()
    await station.want(model)
    row = await station.until(model, lambda row: row["state"] == "failed")
    assert row["fault"] == {"code": "load_failed", "message": "scripted to fail with load_failed", "is_fatal": False}
    assert row["failures"] == 3
    await station.left(row["container"])
    assert await station.containers(model) == []


async def test_a_fault_that_time_does_not_heal_is_not_tried_again_until_the_entry_changes(station: Station) -> None:
    model = station.has("a", environment={"FATAL": "model_missing 3"})
    station.start_worker()
    await station.want(model)
    row = await station.until(model, lambda row: row["state"] == "failed")
    assert (row["failures"], row["generation"]) == (1, 1)
    station.has("a", environment={})
    await station.want(model)
    assert (await station.until(model, is_ready))["generation"] == 2


async def test_a_model_that_takes_more_memory_than_it_said_is_killed_and_told_so(station: Station) -> None:
    model = station.has("a", memory="64 MiB", environment={"MEMORY_MIB": "512"})
    station.start_worker()
    await station.want(model)
    row = await station.until(model, lambda row: row["fault"])
    assert row["fault"]["code"] == "out_of_memory"
    assert "memory" in row["fault"]["message"]


async def test_a_call_in_flight_is_finished_before_its_model_leaves(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    row = await station.ready(model)
    call = asyncio.create_task(ask(row, prompt=HELD))
    await station.until(model, is_busy)
    await station.unwant(model)
    await station.until(model, is_draining)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await ask(row))[0] != 503:  # noqa: ASYNC110  # it may hear of it later than the row says it
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)  # in which it would be cut off, if it were
    station.release()
    assert (await call)[0] == 200
    await station.gone(model)


async def test_a_call_that_outlasts_the_drain_is_cut_off(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    row = await station.ready(model)
    call = asyncio.create_task(ask(row, prompt=HELD))
    await station.until(model, is_busy)
    await station.unwant(model, drain_seconds=1)
    await station.gone(model)
    assert (await call)[0] == 0


async def test_a_model_that_is_forced_to_stop_waits_for_nobody(station: Station) -> None:
    model = station.has("a", drain_seconds=600)
    station.start_worker()
    row = await station.ready(model)
    call = asyncio.create_task(ask(row, prompt=HELD))
    await station.until(model, is_busy)
    await station.unwant(model, is_forced=True)
    await station.gone(model)
    assert (await call)[0] == 0


async def test_containers_of_other_installations_are_never_touched_and_ours_that_nobody_knows_are_removed(
    station: Station, installation: str
) -> None:
    model = station.has("a")
    labels = {"ultra.model": model, "ultra.generation": "99", "ultra.node": "test-node", "ultra.spec": "x"}
    foreign = _run(station, installation, labels)
    orphan = _run(station, await station.install(), labels)
    station.start_worker()
    await station.left(orphan)
    await station.ready(model)
    assert (await station.docker.inspect(foreign)).status == "running"


async def test_a_lost_nodes_container_that_does_not_leave_when_it_is_told_to_is_killed(station: Station) -> None:
    station.has("a")
    labels = {"ultra.model": "local-b", "ultra.generation": "1", "ultra.node": "lost", "ultra.spec": "x"}
    left = _run(station, await station.install(), labels)
    station.start_worker()
    await station.left(left)
    stopping = [one["detail"]["is_killed"] for one in await station.history("local-b") if one["kind"] == "stopping"]
    assert stopping == [False, True]


def _run(station: Station, installation: str, labels: dict[str, str]) -> str:
    told = [f"--label={name}={value}" for name, value in {**labels, "ultra.installation": installation}.items()]
    [container] = docker("run", "-d", "--network=none", "--entrypoint=sleep", *told, station.image, "600")
    return container
