import asyncio
import sys

import pytest

from tests.integration.lifecycle.station import (
    HELD,
    NODE,
    PATIENCE_SECONDS,
    Station,
    ask,
    docker,
    is_busy,
    is_draining,
    is_ready,
)

pytestmark = pytest.mark.docker

PATIENT = (sys.executable, "-m", "tests.integration.lifecycle.patient_worker")


async def test_a_model_that_is_asked_for_is_made_proved_and_reached(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    row = await station.ready(model)
    assert await ask(row, "/inference", prompt="Hello") == (200, {"response": "scripted", "usage": {}, "latency_ms": 0})
    [container] = await station.containers(model)
    assert container.id == row["container"]
    assert container.labels["ultra.generation"] == str(row["generation"]) == "1"
    assert await station.kinds(model) == ["created", "ready"]


async def test_a_model_that_is_to_stop_leaves_nothing_behind(station: Station) -> None:
    model = station.has("a")
    station.start_worker()
    await station.ready(model)
    await station.unwant(model)
    await station.gone(model)
    assert await station.sql("SELECT * FROM instances") == []
    assert await station.kinds(model) == ["created", "ready", "stopping", "removed"]


async def test_a_worker_that_takes_its_models_along_lets_them_finish_first(station: Station) -> None:
    busy, other = station.has("busy"), station.has("other")
    worker = station.start_worker(NODE, "--stop-models", program=PATIENT)
    row, _ = await asyncio.gather(station.ready(busy), station.ready(other))
    asking = asyncio.create_task(ask(row, prompt=HELD))
    await station.until(busy, is_busy)
    worker.terminate()
    await station.until(busy, is_draining)
    await asyncio.sleep(1)  # in which it would be cut off, if it were
    station.release()
    assert (await asking)[0] == 200
    assert await asyncio.to_thread(worker.wait, PATIENCE_SECONDS) == 0
    for model in (busy, other):
        assert (await station.gone(model))["is_wanted"] is False


async def test_a_worker_that_takes_its_models_along_ends_its_pulls_too(station: Station) -> None:
    station.has("a")
    labels = [f"ultra.installation={await station.install()}", f"ultra.node={NODE}"]
    worker = station.start_worker(NODE, "--stop-models")
    await station.looked_after()
    docker("run", "-d", *(word for label in labels for word in ("--label", label)), station.image)
    assert len(await station.containers()) == 1
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 30) == 0
    assert await station.containers() == []
    assert "left as they are" not in station.logs()


async def test_many_that_ask_at_once_start_one_container(station: Station) -> None:
    model = station.has("a", environment={"LOAD_SECONDS": "0.5"})
    station.start_worker()
    await asyncio.gather(*(station.want(model) for _ in range(50)))
    row = await station.until(model, is_ready)
    assert row["generation"] == 1
    assert len(await station.containers(model)) == 1
