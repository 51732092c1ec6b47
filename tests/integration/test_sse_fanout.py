"""A thousand watchers of one job on a real API: the promise that nobody misses an event."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from benchmarks.ours_system import OursSystem
from benchmarks.sse_fanout import allow_connections, fan_out
from benchmarks.wire import Connection, encode

WATCHERS = 1_000


@pytest.fixture
def ours(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[OursSystem]:
    """The API and its workers; allowed as many files as the test opens."""
    if not allow_connections(2 * WATCHERS):
        pytest.skip(f"this machine allows fewer than {2 * WATCHERS} open files")
    system = OursSystem(tmp_path, postgres_url, redis_url)
    try:
        system.start()
        yield system
    finally:
        system.processes.stop()


async def test_a_thousand_watchers_see_every_event_in_order_though_some_are_killed(ours: OursSystem) -> None:
    body = ours.body(["mock-stream", "mock-slow-a"], is_merged=False).encode()
    async with Connection(ours.port) as connection:
        accepted = await connection.request(encode("POST", ours.submit_path, body))
    job = orjson.loads(accepted.body)

    outcome = await fan_out(ours.port, job["links"]["events"], watchers=WATCHERS, killed=100)

    assert outcome.faults == []
    # A machine that stood still puts all tokens but the first into one event; then fewer live to see their death.
    assert outcome.events_each >= 9
    assert outcome.resumptions >= outcome.kills > 40
