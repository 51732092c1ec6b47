import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from redis.asyncio import Redis

from common.contracts.fleet import LogLineDocument
from common.ending import end
from common.fleet import logs
from common.settings import Settings
from tests.contract.scripted_instance import ScriptedInstance
from tests.integration.api.acting import acting_worker
from tests.integration.api.asking import code_of
from tests.integration.api.serving import serving
from tests.integration.api.test_keys_and_owners import make_key
from tests.integration.fleet.conftest import MODEL
from tests.integration.fleet.keeper import NODE, PATIENCE_SECONDS, ActingKeeper
from worker.lifecycle.engine_errors import EngineAway


@asynccontextmanager
async def reading_logs(redis_url: str, read: logs.Read) -> AsyncIterator[None]:
    """A lifecycle worker, as far as it reads logs."""
    redis: Redis = Redis.from_url(redis_url, socket_timeout=6)
    serving_logs = asyncio.create_task(logs.serve(redis, NODE, read))
    try:
        yield
    finally:
        await end([serving_logs])
        await redis.aclose()


async def logs_of(api: httpx.AsyncClient, **parameters: int) -> httpx.Response:
    """Ask again while nobody answered in time: logs are for people, who do that."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            response = await api.get(f"/models/{MODEL}/logs", params=parameters)
            if "did not answer within" not in response.text and "Redis is away" not in response.text:
                return response


async def test_the_registry_tells_of_every_model_and_no_secret(api: httpx.AsyncClient) -> None:
    response = await api.get("/models")
    assert [one["model_id"] for one in response.json()["data"]] == [MODEL, "local-other"]
    [tiny, _] = response.json()["data"]
    assert (tiny["state"], tiny["memory_bytes"], tiny["source"]) == ("stopped", 1 << 30, {"path": "tiny.gguf"})
    assert tiny["aliases"] == ["teeny"]
    assert "HF_TOKEN" not in response.text


async def test_the_status_tells_of_containers_and_what_they_run_on(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    await api.post("/run", json={"model_id": MODEL})
    await keeper.serve(MODEL, container.base_url)
    status = (await api.get("/status")).json()
    tiny, other = status["models"]
    assert (tiny["desired"], tiny["state"], tiny["endpoint"]) == ("running", "ready", container.base_url)
    assert (tiny["in_flight"], tiny["idle_seconds"], tiny["memory_bytes"], tiny["node"]) == (0, 1.5, 1 << 29, NODE)
    assert (other["desired"], other["state"], other["endpoint"]) == ("stopped", "stopped", None)
    assert status["host"]["nodes"][0]["is_live"]
    assert (status["host"]["limit_bytes"], status["gpus"]) == (8_000_000_000, [])


async def test_a_failure_is_shown(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    await api.post("/run", json={"model_id": MODEL})
    await keeper.fail(MODEL, "There is no file.")
    [tiny, _] = (await api.get("/status")).json()["models"]
    assert (tiny["state"], tiny["last_error"]["message"]) == ("failed", "There is no file.")


async def test_the_catalog_tells_the_states_of_those_in_containers(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    await api.post("/run", json={"model_id": MODEL})
    await keeper.serve(MODEL, container.base_url)
    listed = {one["id"]: one for one in (await api.get("/api/models")).json()["data"]}
    assert [listed[name]["state"] for name in (MODEL, "local-other", "mock-a")] == ["ready", "stopped", None]
    assert listed[MODEL]["available"]


async def test_logs_are_read_by_the_lifecycle_worker_of_the_node(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, redis_url: str
) -> None:
    await api.post("/run", json={"model_id": MODEL})
    await keeper.serve(MODEL, container.base_url)
    asked: list[tuple[str, int]] = []

    async def read(name: str, tail: int) -> Sequence[LogLineDocument]:
        asked.append((name, tail))
        return [LogLineDocument(at=None, stream="stderr", text="loaded")]

    async with reading_logs(redis_url, read):
        response = await logs_of(api, tail=5)
    assert response.status_code == 200, response.text
    assert response.json()["lines"] == [{"at": None, "stream": "stderr", "text": "loaded"}]
    assert set(asked) == {(response.json()["container"], 5)}


async def test_an_engine_that_is_away_is_told_in_its_own_words(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, redis_url: str
) -> None:
    await api.post("/run", json={"model_id": MODEL})
    await keeper.serve(MODEL, container.base_url)

    async def read(_name: str, _tail: int) -> Sequence[LogLineDocument]:
        raise EngineAway("The Docker engine does not answer.")

    async with reading_logs(redis_url, read):
        response = await logs_of(api)
    assert (response.status_code, code_of(response)) == (503, "dependency_down")
    assert response.json()["detail"] == "The Docker engine does not answer."


async def test_a_lifecycle_worker_that_is_away_is_waited_for_a_moment(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    await api.post("/run", json={"model_id": MODEL})
    await keeper.serve(MODEL, container.base_url)
    response = await api.get(f"/models/{MODEL}/logs")
    assert (response.status_code, code_of(response)) == (503, "dependency_down")


async def test_without_a_container_there_is_no_log(api: httpx.AsyncClient) -> None:
    response = await api.get(f"/models/{MODEL}/logs")
    assert (response.status_code, code_of(response)) == (404, "no_logs")
    assert (await api.get("/models/mock-a/logs")).status_code == 404
    assert (await api.get(f"/models/{MODEL}/logs", params={"tail": 0})).status_code == 422


async def test_models_are_started_and_stopped_by_keys_that_may(settings: Settings) -> None:
    async with (
        acting_worker(settings) as worker,
        serving(settings.model_copy(update={"ultra_auth": "required"})) as api,
    ):
        keeper_key, _ = await make_key(worker, "lifecycle")
        reader_key, _ = await make_key(worker, "read", "submit")
        for path in ("/run", "/stop"):
            assert (await api.post(path, json={"model_id": MODEL})).status_code == 401
            assert (await api.post(path, json={"model_id": MODEL}, headers=reader_key)).status_code == 403
            begun = await api.post(path, json={"model_id": MODEL}, headers=keeper_key)
            assert begun.status_code == 202
            assert (await api.get(begun.json()["links"]["self"], headers=keeper_key)).status_code == 200
        for path in ("/models", "/status"):
            assert (await api.get(path, headers=reader_key)).status_code == 200
            assert (await api.get(path, headers=keeper_key)).status_code == 200
        assert (await api.get(f"/models/{MODEL}/logs", headers=reader_key)).status_code == 403
        prompt = {"model_id": MODEL, "prompt": "Why?"}
        assert (await api.post("/inference", json=prompt, headers=keeper_key)).status_code == 403
