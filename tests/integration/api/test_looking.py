import asyncio
from uuid import UUID

import httpx

from common.database import jobs as job_statements
from common.events import CANCEL_CHANNEL, stream_key
from common.ids import uuid7
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import code_of, show, submit


async def test_a_job_is_shown_as_far_as_it_has_come(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api, models=["mock-a", "mock-b"])
    queued = await show(api, job["id"])
    one, other = await worker.begin(job["id"], ["mock-a", "mock-b"])
    await worker.finish_call(job["id"], one, "Yes.")
    running = await show(api, job["id"])
    await worker.finish_call(job["id"], other, "No.")
    await worker.finish_job(job["id"])
    done = await show(api, job["id"])
    assert [one["status"] for one in (queued, running, done)] == ["queued", "running", "completed"]
    assert [answer["status"] for answer in queued["answers"]] == ["queued", "queued"]
    assert [answer["status"] for answer in running["answers"]] == ["completed", "running"]
    assert [answer["text"] for answer in done["answers"]] == ["Yes.", "No."]
    assert [one["progress"]["done"] for one in (queued, running, done)] == [0, 1, 2]
    assert done["text"] == "All agree."
    assert done["finished_at"]


async def test_polling_transfers_only_what_changed(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    tags = []
    for step in ("queued", "running", "completed"):
        if step == "running":
            [call_id] = await worker.begin(job["id"])
        elif step == "completed":
            await worker.finish_call(job["id"], call_id)
            await worker.finish_job(job["id"])
        for path in (f"/api/analysis/{job['id']}", f"/api/jobs/{job['id']}"):
            first = await api.get(path)
            tag = first.headers["etag"]
            again = await api.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        tags.append(tag)
    assert len(set(tags)) == 3


async def test_the_tag_of_a_row_is_the_tag_of_its_mark(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api, models=["mock-a", "mock-b"])
    await worker.begin(job["id"], ["mock-a", "mock-b"])
    [row] = await worker.run(job_statements.with_calls([UUID(job["id"])]))
    [mark] = await worker.run(job_statements.mark(UUID(job["id"]), None))
    assert job_statements.digest(row) == mark["digest"]


async def test_an_id_that_is_unknown_or_none_at_all_is_not_found(api: httpx.AsyncClient) -> None:
    for job_id in (str(uuid7()), "nonsense", str(uuid7()).upper(), "%00"):
        for method, path in (
            ("GET", "/api/analysis/{}"),
            ("GET", "/api/analysis/{}/events"),
            ("POST", "/api/analysis/{}/cancel"),
            ("DELETE", "/api/analysis/{}"),
            ("GET", "/api/jobs/{}"),
            ("GET", "/api/jobs/{}/events"),
            ("POST", "/api/jobs/{}/cancel"),
        ):
            response = await api.request(method, path.format(job_id))
            assert (response.status_code, code_of(response)) == (404, "job_not_found"), (method, path, job_id)


async def test_cancelling_stops_the_job_tells_workers_and_may_be_repeated(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    job = await submit(api)
    await worker.begin(job["id"])
    async with worker.redis.pubsub() as told:
        await told.subscribe(CANCEL_CHANNEL)
        await told.get_message(timeout=60)  # the subscription itself
        for _ in range(2):
            response = await api.post(job["links"]["cancel"])
            assert response.status_code == 200
            assert response.json()["status"] == "cancelled"
            assert response.json()["answers"][0]["status"] == "cancelled"
        message = await told.get_message(timeout=60)
        assert message is not None
        assert message["data"].decode() == job["id"]
        assert await told.get_message(timeout=0.1) is None


async def test_cancelling_what_has_ended_changes_nothing(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    await worker.complete(job["id"])
    for path in (job["links"]["cancel"], f"/api/jobs/{job['id']}/cancel"):
        assert (await api.post(path)).json()["status"] == "completed"


async def test_only_what_has_ended_can_be_deleted(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    refused = await api.delete(job["links"]["self"])
    assert (refused.status_code, code_of(refused)) == (409, "job_not_finished")
    await worker.complete(job["id"])
    assert await worker.redis.exists(stream_key(job["id"]))
    assert (await api.delete(job["links"]["self"])).status_code == 204
    assert not await worker.redis.exists(stream_key(job["id"]))
    assert (await api.delete(job["links"]["self"])).status_code == 404
    assert (await api.get(job["links"]["self"])).status_code == 404


async def test_pages_are_newest_first_without_gap_or_repeat(api: httpx.AsyncClient) -> None:
    submitted = [(await submit(api))["id"] for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        page = (await api.get("/api/analyses", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [one["id"] for one in page["data"]]
        await submit(api)  # what is new does not shift the pages
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == submitted[::-1]


async def test_lists_are_filtered_and_carry_no_payloads(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    plain = await submit(api)
    factual = await submit(api, analysis_type="factual", models=["gpt4"])
    await worker.complete(plain["id"])

    async def ids(**params: str) -> list[str]:
        response = await api.get("/api/analyses", params=params)
        assert response.status_code == 200
        assert all("prompt" not in one and "answers" not in one for one in response.json()["data"])
        return [one["id"] for one in response.json()["data"]]

    assert await ids() == [factual["id"], plain["id"]]
    assert await ids(status="completed") == [plain["id"]]
    assert await ids(analysis_type="factual") == [factual["id"]]
    assert await ids(model="gpt4") == await ids(model="openai-gpt4o") == [factual["id"]]
    assert await ids(model="gone-from-the-catalog") == []


async def test_a_list_asked_for_wrongly_names_the_field(api: httpx.AsyncClient) -> None:
    for field, value in (
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "x"),
        ("status", "done"),
        ("cursor", "x"),
        ("model", "a\x00"),
    ):
        response = await api.get("/api/analyses", params={field: value})
        assert (response.status_code, code_of(response)) == (422, "invalid_input")
        assert response.json()["errors"][0]["field"] == field


async def test_models_and_types_can_be_listed(api: httpx.AsyncClient) -> None:
    models = {one["id"]: one for one in (await api.get("/api/models")).json()["data"]}
    assert "gpt4" in models["openai-gpt4o"]["aliases"]
    assert models["mock-a"]["available"]
    assert models["docker_modelrunner-smollm2"]["default"]
    assert not models["mock-a"]["default"]
    types = [one["name"] for one in (await api.get("/api/analysis-types")).json()["data"]]
    assert types[:2] == ["comparative", "factual"]


async def test_many_polls_at_once_are_all_answered(api: httpx.AsyncClient) -> None:
    job = await submit(api)
    responses = await asyncio.gather(*(api.get(job["links"]["self"]) for _ in range(50)))
    assert {response.status_code for response in responses} == {200}
