"""Calls of the job plane to a model in a container: a real worker, and a lifecycle worker played by the test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from common.fleet.contracts import State
from common.settings import Settings
from tests.contract.scripted_instance import TEXT, ScriptedInstance
from tests.integration.api.asking import code_of
from tests.integration.api.test_recovery_metrics import figures
from tests.integration.engine.stack import Workers, workers
from tests.integration.fleet.conftest import MODEL
from tests.integration.fleet.keeper import PATIENCE_SECONDS, ActingKeeper

START_SECONDS = 0.3
PROMPT = {"model_id": MODEL, "prompt": "Why is the sky blue?"}


@pytest.fixture
def team(settings: Settings, catalog_path: Path, tmp_path: Path) -> Iterator[Workers]:
    urls = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    with workers(*urls, tmp_path) as team:
        team.start(ULTRA_MODELS_PATH=str(catalog_path))
        yield team


def infer(api: httpx.AsyncClient, **more: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(api.post("/inference", json=PROMPT | more))


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.split("\n\n") if "event: " in block]
    fields = [dict(line.split(": ", 1) for line in lines if ": " in line) for lines in blocks]
    return [(field["event"], orjson.loads(field["data"])) for field in fields]


async def only_job(keeper: ActingKeeper) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (rows := await keeper.run(text("SELECT id FROM jobs"))):  # noqa: ASYNC110  # a row has no event
            await asyncio.sleep(0.01)
    return str(rows[0]["id"])


async def test_an_inference_starts_its_model_and_waits_for_it(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers
) -> None:
    asking = infer(api)
    await keeper.wanted(MODEL)
    await asyncio.sleep(START_SECONDS)
    await keeper.serve(MODEL, container.base_url)
    response = await asking
    assert response.status_code == 200, response.text
    cold = response.json()
    assert (cold["model_id"], cold["response"], cold["cold_start"]) == (MODEL, TEXT, True)
    assert cold["usage"]["completion_tokens"] == 4
    [took] = await keeper.run(text("SELECT extract(epoch FROM finished_at - proved_at) AS s FROM calls, instances"))
    assert cold["latency_ms"] <= took["s"] * 1000, "the start is no part of it"
    assert cold["cold_start_ms"] >= START_SECONDS * 1000
    warm = (await infer(api)).json()
    assert (warm["response"], warm["cold_start"], warm["cold_start_ms"]) == (TEXT, False, None)
    team.stop_all()  # who stops tells first what it counted
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "ultra_model_waits_total" not in (seen := await figures(api)):  # noqa: ASYNC110  # who is slow is left out
            await asyncio.sleep(0.1)
    assert seen["ultra_model_waits_total"] == 1
    # the one is taken within the other, and told in whole milliseconds
    counted_ms = seen["ultra_model_wait_milliseconds_total"]
    assert START_SECONDS * 1000 <= counted_ms <= cold["cold_start_ms"] + 1


async def test_fifty_first_requests_are_one_wish_and_all_are_answered(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers
) -> None:
    asking = [infer(api) for _ in range(50)]
    first = await keeper.wanted(MODEL)
    generation = await keeper.serve(MODEL, container.base_url)
    responses = await asyncio.gather(*asking)
    assert {response.status_code for response in responses} == {200}
    assert {response.json()["response"] for response in responses} == {TEXT}
    row = await keeper.row(MODEL)
    assert row is not None
    assert (row["generation"], row["wanted_at"]) == (generation, first["wanted_at"])


async def test_those_who_watch_hear_of_the_start(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers
) -> None:
    accepted = await api.post("/inference", json=PROMPT, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    watching = asyncio.create_task(api.get(accepted.json()["links"]["events"]))
    await keeper.wanted(MODEL)
    await keeper.show(MODEL, State.STARTING, "Loads its weights.")
    heard = asyncio.create_task(_hears(api, accepted.json()["links"]["events"], "Loads its weights."))
    await heard
    await keeper.serve(MODEL, container.base_url)
    events = events_of((await watching).text)
    waiting = [data for name, data in events if name == "call.waiting"]
    assert waiting[-1]["state"] == "starting"
    assert waiting[-1]["reason"] == "Loads its weights."
    assert [name for name, _ in events][-2:] == ["call.finished", "job.finished"]


async def _hears(api: httpx.AsyncClient, path: str, words: str) -> None:
    """Return once an event has these words."""
    async with asyncio.timeout(PATIENCE_SECONDS), api.stream("GET", path) as response:
        async for line in response.aiter_lines():
            if words in line:
                return


async def test_a_start_that_fails_is_told_with_its_reason(
    api: httpx.AsyncClient, keeper: ActingKeeper, team: Workers
) -> None:
    asking = infer(api)
    await keeper.wanted(MODEL)
    await keeper.fail(MODEL, "There is no file tiny.gguf.")
    response = await asking
    assert (response.status_code, code_of(response)) == (503, "not_started")
    assert "There is no file tiny.gguf." in response.json()["detail"]
    assert int(response.headers["retry-after"]) >= 1


async def test_a_model_that_does_not_start_has_its_fallback_asked(
    api: httpx.AsyncClient, keeper: ActingKeeper, team: Workers
) -> None:
    body = {"prompt": "Why?", "models": ["local-other"], "options": {"merge": False}}
    asking = asyncio.create_task(api.post("/api/analyze", json=body, headers={"Prefer": "wait=90"}))
    await keeper.wanted("local-other")
    await keeper.fail("local-other", "There is no file.")
    [answer] = (await asking).json()["answers"]
    assert (answer["served_by"], [one["code"] for one in answer["history"]]) == ("mock-a", ["not_started"])
    assert answer["attempts"] == 1


async def test_a_container_that_leaves_is_asked_for_again_and_nobody_notices(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers
) -> None:
    asking = infer(api)
    await keeper.wanted(MODEL)
    await keeper.serve(MODEL, container.base_url)
    await asking
    container.refusing = "draining"  # its row does not say so yet
    container.was_asked.clear()
    asking = infer(api)
    await container.was_asked.wait()
    await keeper.end(MODEL)
    async with ScriptedInstance(MODEL).running() as later:
        await keeper.serve(MODEL, later.base_url)
        response = await asking
        assert response.status_code == 200, response.text
        job = (await api.get(f"/api/analysis/{response.json()['job_id']}")).json()
    [answer] = job["answers"]
    assert (answer["text"], answer["history"], answer["attempts"]) == (TEXT, [], 1)


async def test_one_that_dies_in_the_middle_counts_as_a_failure_and_is_asked_for_again(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers
) -> None:
    container.dies_midway = True
    asking = infer(api)
    await keeper.wanted(MODEL)
    await keeper.serve(MODEL, container.base_url)
    await container.was_asked.wait()
    async with ScriptedInstance(MODEL).running() as later:
        await keeper.end(MODEL)
        await keeper.serve(MODEL, later.base_url)
        response = await asking
        job = (await api.get(f"/api/analysis/{response.json()['job_id']}")).json()
    [answer] = job["answers"]
    assert (answer["text"], [one["code"] for one in answer["history"]]) == (TEXT, ["bad_upstream"])


async def test_a_cancelled_job_waits_no_longer(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers
) -> None:
    accepted = (await api.post("/inference", json=PROMPT, headers={"Prefer": "respond-async"})).json()
    await keeper.wanted(MODEL)
    await _hears(api, accepted["links"]["events"], "call.waiting")
    await api.post(accepted["links"]["cancel"])
    await keeper.serve(MODEL, container.base_url)
    assert (await api.get(accepted["links"]["self"])).json()["status"] == "cancelled"
    assert (await infer(api)).status_code == 200  # by the same worker
    assert len(container.asked) == 1


async def test_calls_that_wait_leave_the_threads_to_others(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers, catalog_path: Path
) -> None:
    team.stop_all()
    team.concurrency = 4
    team.start(ULTRA_MODELS_PATH=str(catalog_path))
    asking = [infer(api) for _ in range(12)]
    await keeper.wanted(MODEL)
    body = {"prompt": "Why?", "models": ["mock-a"], "options": {"merge": False}}
    other = await api.post("/api/analyze", json=body, headers={"Prefer": "wait=90"})
    assert other.json()["status"] == "completed"
    assert not any(one.done() for one in asking)
    await keeper.serve(MODEL, container.base_url)
    assert {response.status_code for response in await asyncio.gather(*asking)} == {200}


async def test_a_worker_that_stops_hands_on_what_waits(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, team: Workers, catalog_path: Path
) -> None:
    asking = infer(api)
    await keeper.wanted(MODEL)
    await _hears(api, f"/api/analysis/{await only_job(keeper)}/events", "call.waiting")
    team.stop_all()
    team.start(ULTRA_MODELS_PATH=str(catalog_path))
    await keeper.serve(MODEL, container.base_url)
    response = await asking
    assert response.status_code == 200, response.text
    assert len(container.asked) == 1
