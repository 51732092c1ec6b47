from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy.dialects import postgresql

from common.database import calls, dead_letters
from common.events import EventName
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import code_of, submit
from tests.integration.api.test_keys_and_owners import make_key
from worker.recovery import Sweep

MINUTE = timedelta(minutes=1)
EXPIRED = timedelta(seconds=-1)


class NobodyWatches:
    """Events that nobody reads."""

    def append(self, job_id: UUID, name: EventName, data: dict[str, Any]) -> None: ...


async def kill(worker: ActingWorker, job_id: str) -> str:
    """The job's call silences two workers, and a real sweep gives it up."""
    [call_id] = await worker.begin(job_id)
    sweep = Sweep(worker._engine, NobodyWatches(), lambda _: None, grace=MINUTE, max_attempts=2, interval_seconds=1)
    await worker.run(calls.heartbeat([(call_id, 1)], EXPIRED))
    assert len((await sweep.once()).rescued) == 1
    await worker.run(calls.claim([call_id], "second", EXPIRED))
    assert len((await sweep.once()).dead) == 1
    return str(call_id)


async def test_a_call_that_was_given_up_is_listed_with_its_reason(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    assert (await api.get("/api/jobs/dead")).json() == {"data": [], "next_cursor": None}
    job = await submit(api)
    call_id = await kill(worker, job["id"])
    await submit(api)
    [dead] = (await api.get("/api/jobs/dead")).json()["data"]
    assert dead.pop("died_at")
    assert dead == {
        "job_id": job["id"],
        "call_id": call_id,
        "kind": "comparative",
        "job_status": "running",
        "model": "mock-a",
        "attempts": 2,
        "silences": 2,
        "error": {
            "code": "dead_lettered",
            "message": "2 workers fell silent on this call; it will not be tried again.",
        },
    }


async def test_pages_follow_each_other_newest_first(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    died = [await kill(worker, (await submit(api))["id"]) for _ in range(5)]
    seen: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = (await api.get("/api/jobs/dead", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen.append([one["call_id"] for one in page["data"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [len(page) for page in seen] == [2, 2, 1]
    assert [call_id for page in seen for call_id in page] == died[::-1]


async def test_calls_that_died_in_one_sweep_are_paged_apart(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    ids = await worker.begin(job["id"], ["mock-a"] * 3)
    await worker.run(calls.heartbeat([(one, 1) for one in ids], EXPIRED))
    sweep = Sweep(worker._engine, NobodyWatches(), lambda _: None, grace=MINUTE, max_attempts=1, interval_seconds=1)
    assert len((await sweep.once()).dead) == 3
    first = (await api.get("/api/jobs/dead?limit=2")).json()
    rest = (await api.get("/api/jobs/dead", params={"cursor": first["next_cursor"]})).json()
    assert {one["call_id"] for one in first["data"] + rest["data"]} == {str(one) for one in ids}
    assert (len(first["data"]), len(rest["data"])) == (2, 1)


async def test_owners_see_their_own_and_an_admin_everybodys(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    alice, _ = await make_key(worker, "submit", "read")
    admin, _ = await make_key(worker, "admin")
    hers = await kill(worker, (await submit(api, alice))["id"])
    nobodys = await kill(worker, (await submit(api))["id"])

    async def listed(headers: dict[str, str]) -> list[str]:
        return [one["call_id"] for one in (await api.get("/api/jobs/dead", headers=headers)).json()["data"]]

    assert await listed(alice) == [hers]
    assert await listed({}) == [nobodys]
    assert await listed(admin) == [nobodys, hers]


async def test_what_is_no_page_is_refused(api: httpx.AsyncClient) -> None:
    for query in ("limit=0", "limit=101", "cursor=nonsense"):
        response = await api.get(f"/api/jobs/dead?{query}")
        assert (response.status_code, code_of(response)) == (422, "invalid_input")


async def test_the_list_can_be_read_from_the_index_of_the_dead(worker: ActingWorker) -> None:
    """Two spellings of one condition: where they differ the index is never used, and nobody would notice."""
    statement = dead_letters.page(owner=None, before=None, limit=20)
    spelled = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    async with worker._engine.connect() as connection:
        await connection.exec_driver_sql("SET enable_seqscan = off")
        plan = (await connection.exec_driver_sql(f"EXPLAIN {spelled}")).scalars().all()
    assert any("ix_calls_dead" in line for line in plan), plan
