"""The engine itself is killed, in the middle of whatever: no request is lost, and nothing is left behind."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from common.settings import Settings
from tests.integration.api.serving import serving
from tests.integration.engine.stack import Workers, workers
from tests.integration.lifecycle.own_engine import OwnEngine
from tests.integration.lifecycle.station import HELD, PATIENCE_SECONDS, Row, Station, is_busy, is_draining, is_ready
from worker.lifecycle.docker_engine import DockerEngine

pytestmark = pytest.mark.docker

MODEL = "local-a"
# From when the engine is back.
CONVERGED_SECONDS = 120

Asking = asyncio.Task[httpx.Response]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own_engine(docker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    if os.geteuid() != 0 or not (shutil.which("dockerd") and shutil.which("ip")):
        needs = "an engine that may be killed takes root, dockerd and ip"
        assert not os.environ.get("CI"), needs
        pytest.skip(needs)
    engine = OwnEngine(tmp_path_factory.mktemp("engine"))
    engine.start()
    try:
        engine.wait()
        engine.load(docker)
        yield engine
    finally:
        engine.remove()


@pytest.fixture
async def engine(own_engine: OwnEngine) -> AsyncIterator[DockerEngine]:
    """In the place of the machine's: the station looks here."""
    engine = DockerEngine(own_engine.host)
    yield engine
    await engine.close()
    own_engine.clear()


@pytest.fixture
def settings(station: Station, postgres_url: str, redis_url: str, tmp_path: Path) -> Settings:
    station.has("a", environment={"LOAD_SECONDS": "2"})
    return Settings(database_url=postgres_url, redis_url=redis_url, ultra_models_path=tmp_path / "models.yaml")


@pytest.fixture
def team(
    station: Station, own_engine: OwnEngine, settings: Settings, postgres_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Workers]:
    """One that keeps models, and one that asks them."""
    station.start_worker(DOCKER_HOST=own_engine.host)
    logs = tmp_path / "team"
    logs.mkdir()
    with workers(postgres_url, redis_url, logs) as team:
        team.start(ULTRA_MODELS_PATH=str(settings.ultra_models_path))
        yield team


@pytest.fixture
async def api(settings: Settings, team: Workers) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        client.timeout = httpx.Timeout(2 * PATIENCE_SECONDS)
        yield client


@pytest.mark.parametrize(
    ("moment", "keeps_containers"),
    [
        ("is made", False),
        ("loads", False),
        ("loads", True),
        ("serves", False),
        ("serves", True),
        ("drains", False),
        ("drains", True),
    ],
    ids=lambda value: {False: "and its containers stop", True: "and its containers run on"}.get(value, value),
)
async def test_an_engine_that_is_killed_loses_no_request_and_no_container(
    station: Station, own_engine: OwnEngine, api: httpx.AsyncClient, moment: str, keeps_containers: bool
) -> None:
    await station.looked_after()
    asked = await brought_to(moment, station, api)
    before = await station.look(MODEL)
    await asyncio.to_thread(own_engine.kill)
    asked.append(infer(api))
    own_engine.start(keeps_containers=keeps_containers)
    asyncio.get_running_loop().call_later(1, station.release)  # somewhere in its start: no moment is to matter
    await asyncio.to_thread(own_engine.wait)
    async with asyncio.timeout(CONVERGED_SECONDS):
        responses = await asyncio.gather(*asked)
        row = await settled(station)
    assert {response.status_code for response in responses} == {200}, [response.text for response in responses]
    assert {response.json()["response"] for response in responses} == {MODEL}
    if keeps_containers and moment in {"loads", "serves"}:
        assert (row["container"], row["failures"]) == (before["container"], 0)
    await station.unwant(MODEL)
    await station.gone(MODEL)
    assert own_engine.docker("ps", "-aq") == []
    assert own_engine.processes() == []


async def test_a_container_that_an_engine_died_removing_is_removed_and_holds_up_nobody(
    station: Station, own_engine: OwnEngine
) -> None:
    model = station.has("a")
    station.start_worker(DOCKER_HOST=own_engine.host)
    before = await station.ready(model)
    station.stop_workers()
    labels = {"installation": await station.installation(), "model": model, "generation": "99", "node": "test-node"}
    [half] = own_engine.docker(
        "create", *(f"--label=ultra.{name}={said}" for name, said in labels.items()), station.image
    )
    own_engine.kill()
    own_engine.change(half, Dead=True)
    own_engine.start(keeps_containers=True)
    own_engine.wait()
    assert own_engine.docker("inspect", "--format", "{{.State.Status}}", half) == ["dead"]
    station.start_worker(DOCKER_HOST=own_engine.host)
    await station.left(half)
    after = await station.until(model, lambda row: row["seen_at"] > before["seen_at"])
    assert is_ready(after)
    assert after["container"] == before["container"]


def infer(api: httpx.AsyncClient, how_long: str = "0 seconds") -> Asking:
    """A call that takes so long; no two are alike, or one answer would serve both."""
    prompt = f"Take {how_long} over question {next(_numbers)}."
    return asyncio.create_task(api.post("/inference", json={"model_id": MODEL, "prompt": prompt}))


async def brought_to(moment: str, station: Station, api: httpx.AsyncClient) -> list[Asking]:
    """Returns when the model is there, with the requests that brought it there and have no answer yet."""
    if moment in {"is made", "loads"}:
        asked = [infer(api) for _ in range(3)]
        known = {"is made": "generation", "loads": "started_at"}[moment]
        await station.until(MODEL, lambda row: row.get(known))
        return asked
    await station.ready(MODEL)
    asked = [infer(api, HELD) for _ in range(3)]
    await station.until(MODEL, is_busy)
    if moment == "drains":
        await station.unwant(MODEL)
        await station.until(MODEL, is_draining)
    return asked


async def settled(station: Station) -> Row:
    """The model's row, once it is ready and its container is all that there is."""
    while True:
        row = await station.look(MODEL)
        there = [(one.id, one.status) for one in await station.containers()]
        if row["is_ready"] and there == [(row["container"], "running")]:
            return row
        await asyncio.sleep(0.1)
