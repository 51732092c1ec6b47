"""What the gateway writes down, over a real Postgres: in batches, once, and through outages and crashes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

from api.database import Database
from api.gateway import batched_usage
from api.gateway.batched_usage import BatchedUsage
from api.gateway.usage import UsageRow
from common.contracts.calls import Usage
from common.database.connect import connect
from common.ending import end
from tests.conftest import TEMPLATE

# Only a failure waits for so long.
PATIENCE_SECONDS = 60
# Records a row every 10 ms and says so; killed, it can tell nobody what it did not write. It records none while
# Postgres is at work: that takes as long as it takes.
VICTIM = """
import asyncio, sys
from tests.integration.api.test_gateway_usage import batched, row

async def main(url):
    async with batched(url) as log:
        for number in range(1000000):
            async with log._is_writing:
                log.record(row(request_id=str(number)))
                print(number, flush=True)
            await asyncio.sleep(0.01)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Postgres that is slow to take the last rows is not away, but where a test says so."""
    monkeypatch.setattr(batched_usage, "CLOSE_SECONDS", PATIENCE_SECONDS)


def row(**fields: Any) -> UsageRow:
    usual: dict[str, Any] = {
        "owner": "k",
        "kind": "chat",
        "model": "openai-gpt4o",
        "status": "completed",
        "served_by": "openai-gpt4o",
        "provider": "openai",
        "usage": Usage(prompt_tokens=100, completion_tokens=20, total_tokens=120, cached_prompt_tokens=64),
        "reasoning_tokens": 7,
        "cost_usd": 0.001,
        "latency_ms": 900.5,
        "time_to_first_token_ms": 210.1,
        "attempts": 1,
    }
    return UsageRow(**usual | fields)


@asynccontextmanager
async def batched(postgres_url: str) -> AsyncIterator[BatchedUsage]:
    """A log as an API process has it."""
    database = Database(connect(postgres_url, pool_size=2))
    log = BatchedUsage(database)
    keeping = asyncio.create_task(log.keep())
    try:
        yield log
    finally:
        await end([keeping])
        await log.close()
        await database.close()


async def stored(postgres_url: str) -> list[dict[str, Any]]:
    database = Database(connect(postgres_url, pool_size=1))
    try:
        return await database.fetch(text("SELECT * FROM usage ORDER BY request_id NULLS LAST"))
    finally:
        await database.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110  # what others do sets no event of ours
            await asyncio.sleep(0.01)


async def test_a_row_has_all_that_is_known_of_its_request(postgres_url: str) -> None:
    async with batched(postgres_url) as log:
        log.record(row(request_id="req-1"))
        log.record(UsageRow("", "embedding", "mock-a", "failed", error_code="timeout"))
        await until(lambda: log.waiting == 0)
    known, unknown = await stored(postgres_url)
    expected = {
        "source": "gateway", "owner": "k", "kind": "chat", "request_id": "req-1", "job_id": None,
        "served_by": "openai-gpt4o", "provider": "openai", "status": "completed", "prompt_tokens": 100,
        "completion_tokens": 20, "cached_prompt_tokens": 64, "reasoning_tokens": 7, "latency_ms": 900.5,
        "time_to_first_token_ms": 210.1, "attempts": 1, "cached": False,
    }  # fmt: skip
    assert {name: known[name] for name in expected} == expected
    assert float(known["cost_usd"]) == 0.001
    assert (unknown["error_code"], unknown["cost_usd"], unknown["prompt_tokens"]) == ("timeout", None, None)


async def test_a_row_has_the_time_of_its_request_however_late_it_is_written(postgres_url: str) -> None:
    async with batched(postgres_url) as log:
        log.record(row())
        before = time.time()
        await until(lambda: log.waiting == 0)
    [written] = await stored(postgres_url)
    assert written["at"].timestamp() <= before


async def test_many_rows_are_few_statements(postgres_url: str) -> None:
    async with batched(postgres_url) as log:
        for _ in range(1200):
            log.record(row())
    rows = await stored(postgres_url)
    assert len(rows) == 1200
    with psycopg.connect(postgres_url) as connection:
        transactions = connection.execute("SELECT count(DISTINCT xmin::text) FROM usage").fetchone()
    assert transactions == (3,)


def test_a_killed_process_takes_the_last_second_along_at_most(postgres_url: str) -> None:
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", VICTIM, postgres_url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(250)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout
    recorded = [line.strip() for line in said if line.endswith("\n")]
    written = {one["request_id"] for one in asyncio.run(stored(postgres_url))}
    assert len(written) > 50
    lost = [number for number in recorded if number not in written]
    assert len(lost) <= 100  # which came within a second
    assert lost == recorded[len(recorded) - len(lost) :]


async def test_rows_wait_while_postgres_is_away_and_are_written_once_when_it_is_back(
    postgres_url: str,
    postgres_template: "psycopg.Connection[tuple[object, ...]]",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(batched_usage, "FLUSH_SECONDS", 0.02)
    monkeypatch.setattr(batched_usage, "AFTER_A_FAULT_SECONDS", 0.02)
    name = make_url(postgres_url).database
    async with batched(postgres_url) as log:
        log.record(row(request_id="before"))
        await until(lambda: log.waiting == 0)
        postgres_template.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres_template.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        for number in range(10):
            log.record(row(request_id=str(number)))
        await until(lambda: caplog.text.count("10 rows of usage wait") >= 3)
        postgres_template.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await until(lambda: log.waiting == 0)
    assert [one["request_id"] for one in await stored(postgres_url)] == [*map(str, range(10)), "before"]


async def test_a_full_buffer_keeps_what_it_has_and_counts_what_it_drops(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batched_usage, "MAX_ROWS", 3)
    async with batched(postgres_url) as log:
        for number in range(5):
            log.record(row(request_id=str(number)))
        assert (log.waiting, log.dropped) == (3, 2)
    assert [one["request_id"] for one in await stored(postgres_url)] == ["0", "1", "2"]
    assert "a row of usage is lost" in caplog.text


async def test_a_row_that_postgres_never_takes_costs_the_others_nothing(postgres_url: str) -> None:
    async with batched(postgres_url) as log:
        log.record(row(request_id="first"))
        log.record(row(request_id="\x00"))
        log.record(row(request_id="last"))
        await until(lambda: log.waiting == 0)
        assert log.dropped == 1
    assert [one["request_id"] for one in await stored(postgres_url)] == ["first", "last"]


async def test_a_process_that_ends_while_postgres_is_away_says_what_it_takes_along(
    closed_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batched_usage, "CLOSE_SECONDS", 0.5)
    async with batched(f"postgresql://nobody@127.0.0.1:{closed_port}/{TEMPLATE}") as log:
        log.record(row())
    assert "1 rows of usage are lost" in caplog.text
