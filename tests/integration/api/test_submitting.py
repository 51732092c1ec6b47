import asyncio
import time

import httpx
from pydantic import SecretStr

from common.database.tables import jobs
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import ASKED, code_of, submit
from tests.integration.api.conftest import Serve


async def test_what_was_accepted_is_committed_and_rung_for(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    response = await api.post("/api/analyze", json=ASKED | {"models": ["mock-a", "gpt4"]})
    accepted = response.json()
    [row] = await worker.run(jobs.select())
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/analysis/{accepted['id']}" == accepted["links"]["self"]
    assert accepted["status"] == "queued"
    assert accepted["models"] == [{"asked": "mock-a", "id": "mock-a"}, {"asked": "gpt4", "id": "openai-gpt4o"}]
    assert accepted["id"] == str(row["id"]) == row["request"]["seed"]
    assert accepted["created_at"] == row["created_at"].isoformat()
    async with asyncio.timeout(60):
        while not await worker.redis.llen("control"):  # noqa: ASYNC110  # a list has no event
            await asyncio.sleep(0.01)


async def test_a_bare_prompt_is_enough(api: httpx.AsyncClient) -> None:
    response = await api.post("/api/analyze", json={"prompt": "hi"})
    assert response.status_code == 202
    assert response.json()["analysis_type"] == "comparative"
    assert response.json()["models"]


async def test_what_is_refused_says_why_and_stores_nothing(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    for fields, status, says in (
        ({"models": ["gpt5"]}, 404, "gpt4"),
        ({"analysis_type": "compare"}, 422, "comparative, factual"),
        ({"prompt": " "}, 422, "prompt"),
        ({"models": []}, 422, "models"),
        ({"prompt": "a\x00"}, 422, "prompt"),
        ({"output_format": "xml"}, 422, "output_format"),
        ({"options": {"temperature": 3}}, 422, "options.temperature"),
        ({"colour": "blue"}, 422, "colour"),
    ):
        response = await api.post("/api/analyze", json=ASKED | fields)
        assert response.status_code == status
        code_of(response)
        assert says in response.json()["detail"]
    assert await worker.run(jobs.select()) == []


async def test_the_same_key_and_body_give_the_same_job(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    key = {"Idempotency-Key": "order 17"}
    first, again = await submit(api, key), await api.post("/api/analyze", json=ASKED, headers=key)
    assert again.status_code == 202
    assert again.json() == first
    assert again.headers["idempotency-replayed"] == "true"
    assert "ultra_submissions_total 1.0" in (await api.get("/metrics")).text
    assert len(await worker.run(jobs.select())) == 1


async def test_the_same_key_with_another_body_is_a_conflict(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "order 17"}
    await submit(api, key)
    response = await api.post("/api/analyze", json=ASKED | {"prompt": "other"}, headers=key)
    assert (response.status_code, code_of(response)) == (409, "idempotency_conflict")


async def test_duplicates_that_come_together_make_one_job(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    bodies = [{"prompt": prompt} for prompt in ("same", "same", "other") for _ in range(10)]
    key = {"Idempotency-Key": "k"}
    responses = await asyncio.gather(*(api.post("/api/analyze", json=ASKED | body, headers=key) for body in bodies))
    assert {response.status_code for response in responses} == {202, 409}
    assert len({response.json()["id"] for response in responses if response.status_code == 202}) == 1
    assert len(await worker.run(jobs.select())) == 1


async def test_a_key_that_is_none_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post("/api/analyze", json=ASKED, headers={"Idempotency-Key": "x" * 256})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_a_caller_that_waits_gets_the_whole_document(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    async def work() -> None:
        while not (rows := await worker.run(jobs.select())):  # noqa: ASYNC110  # a row has no event
            await asyncio.sleep(0.01)
        await worker.complete(str(rows[0]["id"]), "Very.")

    working = asyncio.create_task(work())
    response = await api.post("/api/analyze", json=ASKED, headers={"Prefer": "wait=15"})
    await asyncio.wait_for(working, 10)
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=15"
    assert response.json()["answers"][0]["text"] == "Very."
    polled = await api.get(response.headers["location"], headers={"If-None-Match": response.headers["etag"]})
    assert polled.status_code == 304


async def test_a_caller_that_waited_long_enough_gets_the_links(api: httpx.AsyncClient) -> None:
    started = time.monotonic()
    response = await api.post("/api/analyze", json=ASKED, headers={"Prefer": "wait=1"})
    assert time.monotonic() - started >= 1
    assert response.status_code == 202
    assert response.json()["links"]["events"]


async def test_respond_async_is_acknowledged(api: httpx.AsyncClient) -> None:
    response = await api.post("/api/analyze", json=ASKED, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "respond-async"


async def test_when_too_many_wait_submissions_are_refused_for_now(serve: Serve) -> None:
    async with serve(ultra_max_queued_jobs=2) as api:
        await submit(api)
        await api.post("/api/analyze", json=ASKED)  # refused if the first came during a count, which saw it twice
        response = await api.post("/api/analyze", json=ASKED)
        assert (response.status_code, code_of(response)) == (429, "busy")
        assert int(response.headers["retry-after"]) >= 1


async def test_without_postgres_nothing_is_accepted(serve: Serve, closed_port: int) -> None:
    async with serve(database_url=SecretStr(f"postgresql://nobody@127.0.0.1:{closed_port}/none")) as api:
        for response in (
            await api.post("/api/analyze", json=ASKED),
            await api.get("/api/analyses"),
            await api.get("/api/analysis/01938c6e-7c1a-7d3e-9a5b-2f4c8d6e1a07"),
            await api.get("/api/analysis/01938c6e-7c1a-7d3e-9a5b-2f4c8d6e1a07/events"),
        ):
            assert (response.status_code, code_of(response)) == (503, "dependency_down")
            assert int(response.headers["retry-after"]) >= 1


async def test_without_redis_work_is_accepted_all_the_same(
    serve: Serve, closed_port: int, worker: ActingWorker
) -> None:
    async with serve(redis_url=SecretStr(f"redis://127.0.0.1:{closed_port}/0")) as api:
        job = await submit(api)
        health = (await api.get("/health")).json()
        assert (health["status"], health["checks"]["broker"]["status"]) == ("degraded", "down")
        assert (await api.post(job["links"]["cancel"])).json()["status"] == "cancelled"
    assert len(await worker.run(jobs.select())) == 1
