import asyncio
import time

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse
from pydantic import SecretStr

from common.events import stream_key
from common.settings import Settings
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import Document, show, submit
from tests.integration.api.conftest import Serve
from tests.integration.api.serving import serving

# Only a failure waits for so long.
PATIENCE_SECONDS = 30


async def watch(
    api: httpx.AsyncClient, job: Document, seen: str | None = None, stop_after: int | None = None
) -> list[ServerSentEvent]:
    """The job's events, to its end or to the nth."""
    events: list[ServerSentEvent] = []
    headers = {"Last-Event-ID": seen} if seen else {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with aconnect_sse(api, "GET", job["links"]["events"], headers=headers) as source:
            assert source.response.status_code == 200
            assert source.response.headers["x-accel-buffering"] == "no"
            async for event in source.aiter_sse():
                events.append(event)
                if len(events) == stop_after:
                    break
    return events


async def until_watched(worker: ActingWorker) -> None:
    """Until somebody's hub has told Redis of a new job; what comes before is history, which is as good."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not [key async for key in worker.redis.scan_iter("ultra:wake:*")]:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.01)


async def test_a_watcher_sees_everything_in_order_and_then_the_whole_document(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    job = await submit(api)
    watching = asyncio.create_task(watch(api, job))
    await until_watched(worker)
    [call_id] = await worker.begin(job["id"])
    for word in ("Water ", "is ", "wet."):
        await worker.say(job["id"], call_id, word)
    await worker.finish_call(job["id"], call_id)
    await worker.finish_job(job["id"])
    events = await watching
    assert [event.event for event in events] == [
        "job.status", *["call.delta"] * 3, "call.finished", "job.finished",
    ]  # fmt: skip
    assert "".join(event.json()["text"] for event in events[1:4]) == "Water is wet."
    assert events[-1].json() == await show(api, job["id"])
    assert [event.id for event in events] == sorted((event.id for event in events), key=_order)


async def test_many_watchers_see_the_same(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    watching = [asyncio.create_task(watch(api, job)) for _ in range(50)]
    [call_id] = await worker.begin(job["id"])
    for number in range(50):
        await worker.say(job["id"], call_id, str(number))
    await worker.finish_call(job["id"], call_id)
    await worker.finish_job(job["id"])
    seen = await asyncio.gather(*watching)
    assert len({tuple((event.id, event.data) for event in events) for events in seen}) == 1
    assert len(seen[0]) == 53


async def test_a_watcher_cut_off_anywhere_resumes_without_gap_or_repeat(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    job = await submit(api)
    [call_id] = await worker.begin(job["id"])
    for number in range(6):
        await worker.say(job["id"], call_id, str(number))
    seen = await watch(api, job, stop_after=4)
    resuming = asyncio.create_task(watch(api, job, seen[-1].id))
    await worker.say(job["id"], call_id, "late")
    await worker.finish_call(job["id"], call_id)
    await worker.finish_job(job["id"])
    together = [*seen, *await resuming]
    assert [event.id for event in together] == [event.id for event in await watch(api, job)]


async def test_whoever_has_seen_the_end_is_not_served_again(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    await worker.complete(job["id"])
    last = (await watch(api, job))[-1].id
    response = await api.get(job["links"]["events"], headers={"Last-Event-ID": last})
    assert response.status_code == 204


async def test_a_job_whose_stream_is_gone_replays_from_postgres(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    await worker.complete(job["id"], "Very.")
    await worker.redis.delete(stream_key(job["id"]))
    events = await watch(api, job)
    assert [event.event for event in events] == ["call.finished", "job.finished"]
    assert events[0].json()["answer"]["text"] == "Very."
    assert [event.id for event in await watch(api, job, events[0].id)] == [events[1].id]
    response = await api.get(job["links"]["events"], headers={"Last-Event-ID": events[1].id})
    assert response.status_code == 204


async def test_a_watcher_gets_the_end_though_redis_lost_everything(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    job = await submit(api)
    [call_id] = await worker.begin(job["id"])
    watching = asyncio.create_task(watch(api, job))
    await until_watched(worker)
    await worker.redis.flushall()
    await worker.finish_call(job["id"], call_id, is_told=False)
    await worker.finish_job(job["id"], is_told=False)
    assert [event.event for event in await watching][-2:] == ["call.finished", "job.finished"]


async def test_watching_goes_on_after_redis_lost_everything(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    [call_id] = await worker.begin(job["id"])
    watching = asyncio.create_task(watch(api, job))
    await until_watched(worker)
    await worker.redis.flushall()
    await worker.say(job["id"], call_id, "still here")
    await worker.finish_call(job["id"], call_id)
    await worker.finish_job(job["id"])
    assert [event.event for event in await watching][-3:] == ["call.delta", "call.finished", "job.finished"]


async def test_without_redis_a_watcher_still_gets_the_end(serve: Serve, closed_port: int, worker: ActingWorker) -> None:
    async with serve(redis_url=SecretStr(f"redis://127.0.0.1:{closed_port}/0")) as api:
        job = await submit(api)
        watching = asyncio.create_task(watch(api, job))
        await worker.complete(job["id"])
        assert [event.event for event in await watching] == ["call.finished", "job.finished"]


async def test_a_cancelled_job_ends_its_streams(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    watching = asyncio.create_task(watch(api, job))
    await until_watched(worker)
    await api.post(job["links"]["cancel"])
    [*_, last] = await watching
    assert (last.event, last.json()["status"]) == ("job.finished", "cancelled")


async def test_a_server_that_stops_lets_its_watchers_go_at_once(settings: Settings, worker: ActingWorker) -> None:
    async with serving(settings, drain_seconds=2 * PATIENCE_SECONDS) as api:
        job = await submit(api)
        watching = asyncio.create_task(watch(api, job))
        waiting = asyncio.create_task(
            api.post("/api/analyze", json={"prompt": "hi", "models": ["mock-a"]}, headers={"Prefer": "wait=300"})
        )
        await until_watched(worker)
        while len((await api.get("/api/analyses")).json()["data"]) < 2:  # noqa: ASYNC110  # a row has no event
            await asyncio.sleep(0.01)
        stopping_at = time.monotonic()
        # leaving the context stops the server, which waits far longer for those that it cannot let go
        asyncio.get_running_loop().call_later(60, watching.cancel)
    assert time.monotonic() - stopping_at < PATIENCE_SECONDS
    assert await watching == []
    assert (await waiting).status_code == 202


async def test_events_of_one_job_are_not_seen_by_watchers_of_another(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    one, other = await submit(api), await submit(api)
    watching = [asyncio.create_task(watch(api, job)) for job in (one, other)]
    await until_watched(worker)
    await worker.complete(one["id"], "one")
    await worker.complete(other["id"], "other")
    for events, text in zip(await asyncio.gather(*watching), ("one", "other"), strict=True):
        assert {event.json()["text"] for event in events if event.event == "call.delta"} == {text}


async def test_an_event_id_that_is_none_of_ours_is_ignored(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    job = await submit(api)
    await worker.complete(job["id"])
    for seen in ("nonsense", "-", "9" * 50, "pg-x"):
        assert len(await watch(api, job, seen)) == 4


def _order(event_id: str) -> tuple[int, int]:
    first, second = event_id.split("-")
    return int(first), int(second)
