"""Real workers, really killed. Issue C breaks more, and more often; these hold the mechanism in place."""

import asyncio
import signal
from functools import partial
from pathlib import Path

from redis.asyncio import Redis

from common.database import calls, jobs
from common.events import CANCEL_CHANNEL
from tests.integration.engine.gated import GATED, Gated
from tests.integration.engine.stack import (
    SHORT_LEASE,
    Desk,
    Workers,
    are_all_running,
    is_alone_at_attempt,
    is_running,
)


async def test_a_comparison_runs_through_two_rounds(desk: Desk, team: Workers) -> None:
    team.start()
    job = await desk.ended(await desk.submit("mock-a", "mock-b", "mock-c"))
    assert job["status"] == "completed", job["error"]
    assert [(call["round"], call["status"]) for call in job["calls"]] == [(0, "completed")] * 3 + [(1, "completed")]
    assert job["result"]["parsed"] is True
    assert {place["model"] for place in job["result"]["ranking"]} <= {"mock-a", "mock-b", "mock-c"}


async def test_one_failing_model_leaves_the_comparison_partial(desk: Desk, team: Workers) -> None:
    team.start()
    job = await desk.ended(await desk.submit("mock-a", "mock-error"))
    assert job["status"] == "partial"
    failed = next(call for call in job["calls"] if call["model"] == "mock-error")
    assert failed["answer"]["error"]["code"]


async def test_split_kinds_of_worker_share_a_job(desk: Desk, team: Workers) -> None:
    for kind in ("control", "cloud", "local"):
        team.start(kind)
    job = await desk.ended(await desk.submit("mock-a", "mock-b", kind="factual"))
    assert job["status"] == "completed"
    assert job["result"]["claims"]


async def test_who_ran_the_one_call_of_a_round_takes_its_job_on(desk: Desk, team: Workers, tmp_path: Path) -> None:
    async with Gated().running() as server:
        control = team.start("control", **server.catalog(tmp_path))
        team.start("cloud", **server.catalog(tmp_path))
        job_id = await desk.submit(GATED, merge=False)
        await desk.until(job_id, is_running)
        # nobody is left who consumes `control`, or sweeps
        control.send_signal(signal.SIGKILL)
        control.wait(10)
        server.gate.set()
        assert (await desk.ended(job_id))["status"] == "completed"


async def test_who_can_make_a_jobs_one_call_needs_nobody_else_to_begin_and_end_it(desk: Desk, team: Workers) -> None:
    team.start("cloud")
    job_id = await desk.submit("mock-a", merge=False, queue="cloud")
    assert (await desk.ended(job_id))["status"] == "completed"


async def test_a_killed_workers_calls_are_run_by_another(desk: Desk, team: Workers, tmp_path: Path) -> None:
    async with Gated().running() as server:
        victim = team.start(**server.catalog(tmp_path), **SHORT_LEASE)
        job_id = await desk.submit(GATED, GATED, merge=False)
        await desk.until(job_id, are_all_running)
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        team.start(**server.catalog(tmp_path))
        server.gate.set()
        job = await desk.ended(job_id)
    assert job["status"] == "completed"
    assert all(call["attempt"] == 2 for call in job["calls"])


async def test_a_flushed_broker_costs_seconds_not_jobs(desk: Desk, team: Workers, redis_url: str) -> None:
    queued = [await desk.submit("mock-a", "mock-b") for _ in range(5)]
    redis = Redis.from_url(redis_url)
    await redis.flushdb()
    await redis.aclose()
    team.start()
    for job_id in queued:
        assert (await desk.ended(job_id))["status"] == "completed"


async def test_a_job_nobody_rang_for_is_found(desk: Desk, team: Workers) -> None:
    team.start()
    job = await desk.ended(await desk.submit("mock-a", ring=False))
    assert job["status"] == "completed"


async def test_a_stopped_worker_hands_its_calls_on(desk: Desk, team: Workers) -> None:
    leaving = team.start()
    job_id = await desk.submit("mock-minute", merge=False)
    await desk.until(job_id, is_running)
    leaving.terminate()
    assert await asyncio.to_thread(leaving.wait, 20) == 0
    [call] = (await desk.job(job_id))["calls"]
    assert call["status"] == "queued"


async def test_a_frozen_workers_late_result_is_refused(desk: Desk, team: Workers, tmp_path: Path) -> None:
    async with Gated().running() as server:
        sleeper = team.start(**server.catalog(tmp_path), **SHORT_LEASE)
        job_id = await desk.submit(GATED, merge=False)
        await desk.until(job_id, is_running)
        sleeper.send_signal(signal.SIGSTOP)
        server.gate.set()
        team.start(**server.catalog(tmp_path))
        job = await desk.ended(job_id)
    sleeper.send_signal(signal.SIGCONT)
    await asyncio.sleep(1.5)  # the sleeper now finishes its call, too late
    assert (await desk.job(job_id)) == job
    assert [call["attempt"] for call in job["calls"]] == [2]


async def test_a_cancelled_job_stops_its_calls(desk: Desk, team: Workers, redis_url: str) -> None:
    team.start()
    job_id = await desk.submit("mock-minute", "mock-minute", merge=False)
    await desk.until(job_id, is_running)
    assert await desk.execute(jobs.cancel(job_id))
    await desk.execute(calls.cancel(job_id))
    redis = Redis.from_url(redis_url)
    await redis.publish(CANCEL_CHANNEL, str(job_id))
    await redis.aclose()
    job = await desk.ended(job_id)
    assert job["status"] == "cancelled"
    assert {call["status"] for call in job["calls"]} == {"cancelled"}


async def test_a_call_that_kills_its_workers_is_given_up(desk: Desk, team: Workers) -> None:
    job_id = await desk.submit("mock-minute", "mock-a", merge=False)
    for attempt in (1, 2):
        victim = team.start(ULTRA_MAX_ATTEMPTS="2", **SHORT_LEASE)
        await desk.until(job_id, partial(is_alone_at_attempt, attempt))  # nobody else is to die with it
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
    team.start(ULTRA_MAX_ATTEMPTS="2")
    job = await desk.ended(job_id)
    assert job["status"] == "partial"
    poison = next(call for call in job["calls"] if call["model"] == "mock-minute")
    assert poison["answer"]["error"]["code"] == "dead_lettered"


async def test_every_call_is_recorded_once_however_often_it_rings(desk: Desk, team: Workers) -> None:
    for _ in range(2):
        team.start()
    # A grace of nothing makes the sweep ring for everything, all the time.
    jobs_ = [await desk.submit("mock-a", "mock-b", "mock-c") for _ in range(20)]
    await desk.sql("UPDATE jobs SET due_at = now() WHERE status = 'queued'")
    for job_id in jobs_:
        job = await desk.ended(job_id)
        assert job["status"] == "completed"
        assert len(job["calls"]) == 4
        assert {call["attempt"] for call in job["calls"]} == {1}
