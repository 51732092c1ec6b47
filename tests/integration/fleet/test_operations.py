import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from common.fleet.contracts import State
from tests.contract.scripted_instance import ScriptedInstance
from tests.integration.api.asking import ASKED, code_of
from tests.integration.api.serving import serving
from tests.integration.fleet.conftest import MODEL
from tests.integration.fleet.keeper import ActingKeeper

RUN = {"model_id": MODEL}


async def run(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    response = await api.post("/run", json=RUN | more)
    assert response.status_code == 202, response.text
    document: dict[str, Any] = response.json()
    assert response.headers["location"] == document["links"]["self"]
    return document


async def shown(api: httpx.AsyncClient, operation: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = (await api.get(operation["links"]["self"])).json()
    return document


async def test_a_model_is_run_and_its_operation_ends_when_it_is_ready(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    operation = await run(api)
    assert (operation["model_id"], operation["state"]) == (MODEL, "queued")
    await keeper.show(MODEL, State.STARTING, "Loads.")
    under_way = await shown(api, operation)
    assert (under_way["status"], under_way["progress"]["phase"]) == ("running", "starting")
    await keeper.serve(MODEL, container.base_url)
    ended = await shown(api, operation)
    assert (ended["kind"], ended["status"], ended["progress"], ended["error"]) == ("run", "completed", None, None)
    assert ended["result"]["state"] == "ready"


async def test_an_operation_that_nobody_is_there_for_says_so(api: httpx.AsyncClient) -> None:
    under_way = await shown(api, await run(api))
    assert under_way["status"] == "queued"
    assert "`ultra worker lifecycle`" in under_way["progress"]["reason"]


async def test_one_that_runs_is_run_without_an_operation(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    await run(api)
    await keeper.serve(MODEL, container.base_url)
    response = await api.post("/run", json=RUN)
    assert response.status_code == 200
    assert response.json() == {"operation_id": None, "model_id": MODEL, "state": "ready", "links": None}


async def test_many_that_ask_at_once_get_one_operation(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    begun = await asyncio.gather(*(run(api) for _ in range(20)))
    assert len({one["operation_id"] for one in begun}) == 1
    assert await keeper.wishes(MODEL) == 1


async def test_after_an_operation_has_ended_the_next_one_is_another(
    api: httpx.AsyncClient, keeper: ActingKeeper
) -> None:
    first = await run(api)
    await keeper.fail(MODEL, "There is no file.")
    assert (await run(api))["operation_id"] != first["operation_id"]


async def test_the_same_key_gives_the_same_operation_however_it_ended(
    api: httpx.AsyncClient, keeper: ActingKeeper
) -> None:
    key = {"Idempotency-Key": "monday"}
    first = (await api.post("/run", json=RUN, headers=key)).json()
    await keeper.fail(MODEL, "There is no file.")
    wanted_at = (await keeper.wanted(MODEL))["wanted_at"]
    again = await api.post("/run", json=RUN, headers=key)
    assert again.json()["operation_id"] == first["operation_id"]
    assert (await keeper.wanted(MODEL))["wanted_at"] == wanted_at
    other = await api.post("/run", json={"model_id": "local-other"}, headers=key)
    assert (other.status_code, code_of(other)) == (409, "idempotency_conflict")


async def test_a_failed_start_ends_its_operation_with_the_reason(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    operation = await run(api)
    await keeper.fail(MODEL, "There is no file tiny.gguf.")
    ended = await shown(api, operation)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "model_missing")
    assert "tiny.gguf" in ended["error"]["message"]


async def test_a_model_is_stopped(api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance) -> None:
    await run(api)
    await keeper.serve(MODEL, container.base_url)
    response = await api.post("/stop", json=RUN | {"drain_seconds": 7})
    assert response.status_code == 202
    row = await keeper.row(MODEL)
    assert row is not None
    assert (row["is_wanted"], row["drain_seconds"], row["is_forced"]) == (False, 7, False)
    await keeper.drain(MODEL)
    assert (await shown(api, response.json()))["status"] == "running"
    await keeper.end(MODEL)
    await keeper.show(MODEL, State.STOPPED)
    assert (await shown(api, response.json()))["status"] == "completed"


async def test_one_that_does_not_run_is_stopped_without_an_operation(api: httpx.AsyncClient) -> None:
    response = await api.post("/stop", json=RUN | {"force": True})
    assert response.status_code == 200
    assert (response.json()["operation_id"], response.json()["state"]) == (None, "stopped")


async def test_an_operation_is_watched_to_its_end_and_replayed_after_it(
    api: httpx.AsyncClient, keeper: ActingKeeper
) -> None:
    operation = await run(api)
    watching = asyncio.create_task(api.get(operation["links"]["events"]))
    await keeper.show(MODEL, State.PULLING)
    await keeper.fail(MODEL, "No space left.")
    seen = (await watching).text
    assert "event: job.finished" in seen
    assert "No space left." in seen
    later = (await api.get(operation["links"]["events"])).text
    assert '"phase":"pulling"' in later
    assert f'"operation_id":"{operation["operation_id"]}"' in later


async def test_an_operation_whose_events_are_lost_is_replayed_from_postgres(
    api: httpx.AsyncClient, keeper: ActingKeeper, redis_url: str
) -> None:
    operation = await run(api)
    await keeper.fail(MODEL, "No space left.")
    from redis.asyncio import Redis

    redis: Redis = Redis.from_url(redis_url)
    await redis.flushall()
    await redis.aclose()
    seen = (await api.get(operation["links"]["events"])).text
    assert seen.count("event: ") == 1
    assert "No space left." in seen


async def test_an_operation_is_no_analysis(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    operation_id = (await run(api))["operation_id"]
    assert (await api.get("/api/analyses")).json()["data"] == []
    assert (await api.get(f"/api/analysis/{operation_id}")).status_code == 404
    assert (await api.get(f"/api/jobs/{operation_id}")).json()["kind"] == "model_run"
    await keeper.fail(MODEL, "No space left.")
    retried = await api.post(f"/api/jobs/{operation_id}/retry")
    assert (retried.status_code, code_of(retried)) == (422, "invalid_input")


async def test_an_analysis_is_no_operation(api: httpx.AsyncClient) -> None:
    job = (await api.post("/api/analyze", json=ASKED)).json()
    for path in (f"/operations/{job['id']}", "/operations/no-id", f"/operations/{job['id']}/events"):
        response = await api.get(path)
        assert (response.status_code, code_of(response)) == (404, "operation_not_found")


@pytest.mark.parametrize("name", [MODEL, "tiny", "teeny"])
async def test_a_model_goes_by_its_id_an_alias_and_its_bare_name(api: httpx.AsyncClient, name: str) -> None:
    assert (await run(api, model_id=name))["model_id"] == MODEL


@pytest.mark.parametrize("path", ["/run", "/stop", "/inference"])
async def test_a_name_that_is_none_is_answered_with_the_nearest(api: httpx.AsyncClient, path: str) -> None:
    response = await api.post(
        path, json={"model_id": "tinny", "prompt": "?"} if path == "/inference" else {"model_id": "tinny"}
    )
    assert (response.status_code, code_of(response)) == (404, "model_not_found")
    assert f"Did you mean {MODEL}?" in response.json()["detail"]


async def test_a_model_that_runs_elsewhere_cannot_be_run_here(api: httpx.AsyncClient) -> None:
    response = await api.post("/run", json={"model_id": "mock-a"})
    assert (response.status_code, code_of(response)) == (422, "invalid_input")
    assert response.json()["errors"][0]["field"] == "model_id"


async def test_two_apis_begin_one_operation(settings: Any, keeper: ActingKeeper) -> None:
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(serving(settings)) for _ in range(2)]
        begun = await asyncio.gather(*(run(apis[number % 2]) for number in range(10)))
    assert len({one["operation_id"] for one in begun}) == 1
