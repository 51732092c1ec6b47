"""More than may wait: who is refused, what it is told, and that all others are served meanwhile.

Who comes in while the jobs are being counted, which happens every second, is counted twice until the next count.
A bound may therefore hold early here, never late; `test_backlog` has the exact figures.
"""

import asyncio

import httpx

from common.database import keys
from common.database.tables import jobs
from common.ids import uuid7
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import ASKED, code_of, show, submit
from tests.integration.api.conftest import Serve

# Only a failure waits for so long.
PATIENCE_SECONDS = 60


async def key_of(worker: ActingWorker, name: str) -> dict[str, str]:
    """The headers of a new key."""
    key = keys.generate()
    await worker.run(keys.create(uuid7(), name, key, ["submit", "read"]))
    return {"authorization": f"Bearer {key}"}


async def place(api: httpx.AsyncClient, headers: dict[str, str] | None = None) -> None:
    """Submit until it is accepted: what was counted twice, or has become free, the next count sees."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await api.post("/api/analyze", json=ASKED, headers=headers)).status_code != 202:  # noqa: ASYNC110  # a place has no event
            await asyncio.sleep(0.05)


async def test_a_flood_is_refused_past_the_bound_and_all_that_was_accepted_is_stored(
    serve: Serve, worker: ActingWorker
) -> None:
    async with serve(ultra_max_queued_jobs=50) as api:
        first = await submit(api)
        posts = [api.post("/api/analyze", json=ASKED) for _ in range(200)]
        *responses, shown, health = await asyncio.gather(*posts, show(api, first["id"]), api.get("/health/live"))
    assert shown["status"] == "queued"
    assert health.status_code == 200
    refused = [response for response in responses if response.status_code == 429]
    assert len(responses) - len(refused) + 1 == len(await worker.run(jobs.select())) <= 50
    assert {code_of(response) for response in refused} == {"busy"}
    assert all(1 <= int(response.headers["retry-after"]) <= 60 for response in refused)


async def test_a_key_that_has_filled_its_share_leaves_room_for_another(serve: Serve, worker: ActingWorker) -> None:
    greedy, modest = await key_of(worker, "greedy"), await key_of(worker, "modest")
    async with serve(ultra_max_queued_jobs=10) as api:
        for _ in range(8):
            await place(api, greedy)
        async with asyncio.timeout(PATIENCE_SECONDS):
            detail = ""
            while "of this key" not in detail:  # while it is counted twice, all places seem to be taken
                response = await api.post("/api/analyze", json=ASKED, headers=greedy)
                assert (response.status_code, code_of(response)) == (429, "busy")
                detail = response.json()["detail"]
        await place(api, modest)


async def test_the_broker_hears_nothing_of_jobs_beyond_the_window(serve: Serve, worker: ActingWorker) -> None:
    async with serve(ultra_jobs_at_once_per_key=3) as api:
        for _ in range(5):
            await submit(api)
    rows = await worker.run(jobs.select().order_by(jobs.c.created_at))
    first, _, _, *beyond = [row["due_at"] == row["created_at"] for row in rows]
    assert not first
    assert beyond == [True, True]


async def test_places_that_became_free_are_given_again(serve: Serve, worker: ActingWorker) -> None:
    async with serve(ultra_max_queued_jobs=1) as api:
        job = await submit(api)
        assert (await api.post("/api/analyze", json=ASKED)).status_code == 429
        await worker.complete(job["id"])
        await place(api)
