from pathlib import Path

import httpx
import pytest

from common.database.tables import jobs
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import Document, code_of, show, submit
from tests.integration.api.conftest import Serve
from tests.integration.api.test_keys_and_owners import make_key


async def ended(api: httpx.AsyncClient, worker: ActingWorker, status: str = "failed", **fields: object) -> Document:
    """A job that came to this end."""
    job = await submit(api, **fields)
    [call_id] = await worker.begin(job["id"])
    await worker.finish_call(job["id"], call_id)
    await worker.finish_job(job["id"], status)
    return job


async def retry(api: httpx.AsyncClient, job_id: str, **headers: str) -> httpx.Response:
    return await api.post(f"/api/jobs/{job_id}/retry", headers=headers)


async def test_a_retry_is_a_new_job_that_names_the_old_one(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    old = await ended(api, worker, models=["gpt4"], options={"temperature": 0.5})
    before = await show(api, old["id"])
    response = await retry(api, old["id"])
    new = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/analysis/{new['id']}" == new["links"]["self"]
    assert new.keys() == old.keys()
    assert (new["status"], new["models"]) == ("queued", old["models"])
    assert await show(api, old["id"]) == before  # watchers and pollers of the old one see no change
    assert (await show(api, new["id"]))["retry_of"] == old["id"]
    assert (await api.get(f"/api/jobs/{new['id']}")).json()["retry_of"] == old["id"]
    rows = {str(row["id"]): row["request"] for row in await worker.run(jobs.select())}
    assert rows[new["id"]] == rows[old["id"]] | {"seed": new["id"]}
    await worker.complete(new["id"], "Now it works.")
    assert (await show(api, new["id"]))["status"] == "completed"


@pytest.mark.parametrize("status", ["completed", "partial", "failed"])
async def test_every_end_may_be_retried(api: httpx.AsyncClient, worker: ActingWorker, status: str) -> None:
    job = await ended(api, worker, status)
    assert (await retry(api, job["id"])).status_code == 202


async def test_a_cancelled_job_may_be_retried_and_a_live_one_not(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    response = await retry(api, job["id"])
    assert (response.status_code, code_of(response)) == (409, "job_not_finished")
    assert "cancel it first" in response.json()["detail"]
    await api.post(job["links"]["cancel"])
    assert (await retry(api, job["id"])).status_code == 202


async def test_a_key_makes_one_retry_of_one_job(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    one, other = await ended(api, worker), await ended(api, worker)
    key = {"Idempotency-Key": "again"}
    first, second = await retry(api, one["id"], **key), await retry(api, one["id"], **key)
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    conflict = await retry(api, other["id"], **key)
    assert (conflict.status_code, code_of(conflict)) == (409, "idempotency_conflict")
    assert len(await worker.run(jobs.select())) == 3


async def test_without_a_key_each_retry_is_another_job(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await ended(api, worker)
    first, second = (await retry(api, job["id"])).json(), (await retry(api, job["id"])).json()
    assert first["id"] != second["id"]


async def test_a_retry_belongs_to_the_owner_of_the_job_whoever_asks(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    alice, alice_id = await make_key(worker, "submit", "read")
    bob, _ = await make_key(worker, "submit", "read")
    admin, _ = await make_key(worker, "admin")
    looks, _ = await make_key(worker, "read")
    job = await submit(api, alice)
    await api.post(job["links"]["cancel"], headers=alice)
    assert (await retry(api, job["id"], **bob)).status_code == 404
    assert (await retry(api, job["id"])).status_code == 404
    assert (await retry(api, job["id"], **looks)).status_code == 403
    for headers in (alice, admin):
        new = (await retry(api, job["id"], **headers)).json()
        assert (await api.get(new["links"]["self"], headers=alice)).status_code == 200
    assert {row["owner"] for row in await worker.run(jobs.select())} == {str(alice_id)}


async def test_a_job_whose_model_left_the_catalog_is_refused_and_nothing_is_stored(
    serve: Serve, worker: ActingWorker, tmp_path: Path
) -> None:
    path = tmp_path / "models.yaml"
    catalog = "defaults: {models: [mock-a]}\nmodels: {mock-a: {}, openai-%s: {}}\n"
    path.write_text(catalog % "old")
    async with serve(ultra_models_path=path) as api:
        job = await ended(api, worker, models=["openai-old"])
    path.write_text(catalog % "new")
    async with serve(ultra_models_path=path) as api:
        response = await retry(api, job["id"])
    assert (response.status_code, code_of(response)) == (409, "model_gone")
    assert "openai-old" in response.json()["detail"]
    assert len(await worker.run(jobs.select())) == 1


async def test_a_retry_waits_in_line_like_any_submission(serve: Serve, worker: ActingWorker) -> None:
    async with serve(ultra_max_queued_jobs=2) as api:
        job = await ended(api, worker)
        for _ in range(2):
            last = await retry(api, job["id"])
            if last.status_code == 429:
                break
        refused = await retry(api, job["id"])
    assert (refused.status_code, code_of(refused)) == (429, "busy")
    assert int(refused.headers["retry-after"]) >= 1


async def test_what_is_no_job_cannot_be_retried(api: httpx.AsyncClient) -> None:
    for name in ("dead", "01938c6e-7c1a-7d3e-9a5b-2f4c8d6e1a07"):
        response = await retry(api, name)
        assert (response.status_code, code_of(response)) == (404, "job_not_found")
