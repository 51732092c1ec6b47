"""Calls that end at another model than the one that was named: real workers, real circuits, real queues."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from cli.embedded.ports import free_port
from tests.integration.engine.stack import Desk, Workers

CATALOG = """\
    defaults: {models: [mock-a]}
    models:
      mock-a:
      mock-b:
      mock-mine: {local: true}
      mock-busy:
        parameters: {extra: {error: rate_limited, retry_after_seconds: 100}}
        fallbacks: {rate_limited: [mock-b]}
      mock-small: {parameters: {extra: {error: context_too_long}}, fallbacks: {context_too_long: [mock-mine]}}
      mock-down: {parameters: {extra: {error: unavailable}}, fallbacks: [mock-b]}
      mock-broken: {parameters: {extra: {tokens: 20, fail_after_tokens: 5, error: bad_upstream}}}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "models.yaml"
    path.write_text(dedent(text))
    return str(path)


def answers(job: Any) -> list[dict[str, Any]]:
    return [call["answer"] for call in job["calls"]]


def codes(answer: dict[str, Any]) -> list[str]:
    return [attempt["code"] for attempt in answer["history"]]


async def test_a_call_ends_at_the_fallback_for_its_error_and_says_what_it_met(
    desk: Desk, team: Workers, tmp_path: Path
) -> None:
    team.start(ULTRA_MODELS_PATH=written(tmp_path, CATALOG))
    job = await desk.ended(await desk.submit("mock-busy", "mock-small", merge=False))
    assert job["status"] == "completed", job["error"]
    busy, small = answers(job)
    assert (busy["model"], busy["served_by"], busy["attempts"], codes(busy)) == (
        "mock-busy",
        "mock-b",
        2,
        ["rate_limited"],
    )
    assert (small["served_by"], small["attempts"], codes(small)) == ("mock-mine", 2, ["context_too_long"])


async def test_a_fallback_of_another_queue_is_asked_by_that_queue_s_worker(
    desk: Desk, team: Workers, tmp_path: Path
) -> None:
    path = written(tmp_path, CATALOG)
    for kind in ("control", "cloud", "local"):
        team.start(kind, ULTRA_MODELS_PATH=path)
    job = await desk.ended(await desk.submit("mock-small", "mock-small", merge=False))
    assert [(answer["served_by"], answer["attempts"]) for answer in answers(job)] == [("mock-mine", 2)] * 2
    assert {call["queue"] for call in await desk.sql("SELECT queue FROM calls")} == {"local"}


async def test_a_model_that_keeps_failing_is_passed_over_by_every_worker(
    desk: Desk, team: Workers, tmp_path: Path
) -> None:
    settings = {"ULTRA_MODELS_PATH": written(tmp_path, CATALOG), "ULTRA_CIRCUIT_OPEN_SECONDS": "600"}
    team.start(**settings)
    first = await desk.ended(await desk.submit("mock-down", "mock-down", merge=False))
    assert [codes(answer)[0] for answer in answers(first)] == ["unavailable"] * 2
    team.start(**settings)
    later = [await desk.submit("mock-down", merge=False) for _ in range(8)]
    ended = [await desk.ended(job_id) for job_id in later]
    # those that were on their way when the circuit opened had their failures; none asked after it
    assert all(answer["served_by"] == "mock-b" for job in ended for answer in answers(job))
    last = await desk.ended(await desk.submit("mock-down", merge=False))
    [answer] = answers(last)
    assert (codes(answer), answer["attempts"]) == (["circuit_open"], 1)


async def test_all_calls_of_a_job_share_its_budget_of_retries(desk: Desk, team: Workers, tmp_path: Path) -> None:
    path = written(tmp_path, CATALOG)
    team.start(ULTRA_MODELS_PATH=path, ULTRA_JOB_RETRY_BUDGET="2", ULTRA_CIRCUIT_FAILURES="1000")
    job = await desk.ended(await desk.submit(*["mock-broken"] * 6, merge=False))
    assert job["status"] == "failed"
    attempts = sum(answer["attempts"] for answer in answers(job))
    # six first attempts, two retries, and one more for each worker thread that looked at the same moment
    assert 8 <= attempts <= 14
    assert {code for answer in answers(job) for code in codes(answer)} == {"bad_upstream"}


async def test_what_was_shown_before_a_failure_is_taken_back(
    desk: Desk, team: Workers, tmp_path: Path, redis_url: str
) -> None:
    from redis.asyncio import Redis

    text = CATALOG.replace("bad_upstream}}}", "bad_upstream}}, fallbacks: [mock-b]}")
    team.start(ULTRA_MODELS_PATH=written(tmp_path, text), ULTRA_MAX_ATTEMPTS="2")
    job_id = await desk.submit("mock-broken", merge=False)
    await desk.ended(job_id)
    redis = Redis.from_url(redis_url)
    async with asyncio.timeout(10):
        events = await redis.xrange(f"ultra:events:{job_id}")
        while not events or events[-1][1][b"e"] != b"job.finished":
            await asyncio.sleep(0.02)
            events = await redis.xrange(f"ultra:events:{job_id}")
    await redis.aclose()
    names = [fields[b"e"].decode() for _, fields in events]
    told = [name for name in names if name.startswith("call.")]
    assert told == [
        *("call.started", "call.delta", "call.reset") * 2,
        *("call.started", "call.delta", "call.finished"),
    ]


CLOUDS = {
    "openai-gpt4o": {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": "{url}/v1"},
    "anthropic-claude-3-opus": {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": "{url}/anthropic"},
    "google-gemini-pro": {"GOOGLE_API_KEY": "sk-test", "GOOGLE_BASE_URL": "{url}/gemini"},
}


@pytest.fixture
def clouds() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Every cloud behind one door: its URL, and the process to pull away."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "llmock"), "serve", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--stream-chunk-delay-ms", "150"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
    )
    yield f"http://127.0.0.1:{port}", process
    if process.poll() is None:
        process.kill()
    process.wait(10)


async def test_fifty_comparisons_outlive_the_network(
    desk: Desk, team: Workers, clouds: tuple[str, "subprocess.Popen[bytes]"], model_runner_url: str
) -> None:
    url, process = clouds
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(f"{url}/health")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
    keys = {name: value.format(url=url) for given in CLOUDS.values() for name, value in given.items()}
    team.start(**keys, MODEL_RUNNER_URL=model_runner_url, LOCAL_MODEL_TIMEOUT="120000")
    running = [await desk.submit(*CLOUDS, merge=False, max_tokens=8) for _ in range(10)]
    await desk.until(running[0], lambda row: any(call["status"] == "completed" for call in row["calls"] or []))
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    running += [await desk.submit(*CLOUDS, merge=False, max_tokens=8) for _ in range(40)]
    ended = [await desk.ended(job_id) for job_id in running]
    assert [job["status"] for job in ended] == ["completed"] * 50, [job["error"] for job in ended if job["error"]]
    everyone = [answer for job in ended for answer in answers(job)]
    moved = [answer for answer in everyone if answer["served_by"] != answer["model"]]
    assert len(moved) >= 120  # all that came when it was away, and those that it left in the middle
    for answer in moved:
        assert answer["served_by"].startswith("docker_modelrunner-")
        assert "offline" in codes(answer)
        assert answer["text"]


async def test_an_equal_question_is_answered_from_the_cache_where_that_is_asked_for(
    desk: Desk, team: Workers, tmp_path: Path
) -> None:
    priced = CATALOG.replace(
        "      mock-b:\n", "      mock-b: {price: {prompt_usd_per_million: 1000, completion_usd_per_million: 1000}}\n"
    )
    team.start(ULTRA_MODELS_PATH=written(tmp_path, priced))
    first = await desk.ended(await desk.submit("mock-b", merge=False, cache=True))
    again = await desk.ended(await desk.submit("mock-b", "mock-b", merge=False, cache=True))
    fresh = await desk.ended(await desk.submit("mock-b", merge=False))
    [asked], [unasked] = answers(first), answers(fresh)
    assert (asked["cached"], asked["attempts"], unasked["cached"]) == (False, 1, False)
    assert asked["cost_usd"] > 0
    for answer in answers(again):
        assert (answer["cached"], answer["cost_usd"], answer["attempts"]) == (True, 0, 0)
        assert (answer["text"], answer["usage"]) == (asked["text"], asked["usage"])
    rows = await desk.sql("SELECT cached, cost_usd FROM usage ORDER BY at")
    assert [row["cached"] for row in rows] == [False, True, True, False]
