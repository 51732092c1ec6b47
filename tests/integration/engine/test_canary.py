"""Real workers over a real broker: those that stop consuming end, and no others do."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from sqlalchemy import make_url

from api.workforce import workers_by_queue
from cli.embedded.datadir import DataDir
from cli.embedded.part import Part
from cli.embedded.ports import free_port
from cli.embedded.probes import worker_consumes
from cli.embedded.supervisor import Supervisor
from cli.embedded.valkey import valkey_part, valkey_url
from common.database import calls, jobs
from common.events import CANCEL_CHANNEL
from common.presence import WORKERS_KEY, worker_key
from tests.integration.embedded.watching import until
from tests.integration.engine.stack import Desk, Workers, is_running, workers
from worker.canary import CANARY, QUEUE_EXPIRES_SECONDS
from worker.giving_up import GAVE_UP

LIMIT_SECONDS = 1.5
LIMIT = {"ULTRA_CANARY_SECONDS": str(LIMIT_SECONDS)}
# Longer than a worker would live that wrongly gave itself up.
WELL_PAST_SECONDS = 3 * LIMIT_SECONDS
DEAF_WORKER = (sys.executable, "-m", "tests.integration.engine.deaf_worker")
# Only a failure waits this long.
PATIENCE_SECONDS = 60


class Roll:
    """What workers say of themselves in Redis."""

    def __init__(self, redis: "Redis") -> None:
        self.redis = redis

    def record(self, worker: "subprocess.Popen[bytes]") -> dict[str, Any]:
        for key in self.redis.scan_iter(worker_key(f"*.{worker.pid}@*")):
            record = self.redis.get(key)
            return dict(orjson.loads(record)) if record else {}
        return {}

    def until_proved(self, worker: "subprocess.Popen[bytes]", *, after: str = "") -> str:
        """Wait until it has proved to consume, later than `after`; returns when it last did."""

        def is_proved() -> bool:
            assert worker.poll() is None, f"the worker ended with {worker.returncode}"
            record = self.record(worker)
            return bool(record.get("consumes")) and record["proved_at"] > after

        until(is_proved, "a canary's return", PATIENCE_SECONDS)
        return str(self.record(worker)["proved_at"])

    def keys(self) -> dict[str, set[bytes]]:
        """All keys; with their members, those of sets."""
        names = [name.decode() for name in self.redis.scan_iter()]
        return {name: self.redis.smembers(name) if self.redis.type(name) == b"set" else set() for name in names}


@pytest.fixture
def roll(redis_url: str) -> Iterator[Roll]:
    with Redis.from_url(redis_url) as client:
        yield Roll(client)


@pytest.fixture
def deaf(tmp_path: Path) -> Path:
    """The file that tells who is deaf."""
    return tmp_path / "deaf"


async def count_by_queue(redis_url: str) -> dict[str, int]:
    async with AsyncRedis.from_url(redis_url) as client:
        return await workers_by_queue(client)


def test_a_worker_counts_once_its_first_canary_came_back(team: Workers, roll: Roll, redis_url: str, deaf: Path) -> None:
    deaf.write_text("all")
    worker = team.start(program=DEAF_WORKER, DEAF=str(deaf), **LIMIT)
    until(lambda: roll.redis.keys(f"{CANARY}.*") and roll.record(worker), "its record, and a canary", PATIENCE_SECONDS)
    until(lambda: " ready." in team.logs(), "Celery's start", PATIENCE_SECONDS)
    assert roll.record(worker)["consumes"] is False
    assert asyncio.run(count_by_queue(redis_url)) == {"control": 0, "cloud": 0, "local": 0}
    deaf.unlink()
    roll.until_proved(worker)
    assert asyncio.run(count_by_queue(redis_url)) == {"control": 1, "cloud": 1, "local": 1}


async def test_the_supervisor_replaces_a_worker_that_stopped_consuming(
    postgres_url: str, redis_url: str, tmp_path: Path, deaf: Path
) -> None:
    url = make_url(redis_url)
    assert url.host
    assert url.port
    worker = Part(
        name="worker",
        command=(*DEAF_WORKER, "control", "--name", "node"),
        probe=worker_consumes(url.host, url.port, str(url.password), "control", "node"),
        environment={"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "DEAF": str(deaf), **LIMIT},
    )
    notes = Notes()
    supervisor = Supervisor([worker], tmp_path, notes, notes.pids.update)
    notes.on_notice = supervisor.stop
    async with asyncio.timeout(PATIENCE_SECONDS):
        await supervisor.run(lambda: make_deaf(deaf, notes.pids["worker"]))
    [notice] = notes.notices
    assert notice.startswith(f"worker exited with {GAVE_UP}; starting it again")
    assert "nothing was consumed" in notice


def make_deaf(deaf: Path, pid: int) -> None:
    deaf.write_text(str(pid))


class Notes:
    """A report that remembers what was told, and calls for the end after the second start."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.notices: list[str] = []
        self._starts = 0

    def starting(self, name: str) -> None: ...
    def failed(self, name: str) -> None: ...
    def stopping(self) -> None: ...

    def on_notice(self) -> None: ...

    def ready(self, name: str, seconds: float) -> None:
        self._starts += 1
        if self._starts == 2:
            self.on_notice()

    def notice(self, text: str) -> None:
        self.notices.append(text)


async def test_a_worker_whose_threads_are_all_busy_is_not_stuck(desk: Desk, team: Workers, roll: Roll) -> None:
    team.start("control")
    busy = team.start("cloud", **LIMIT)
    # a call for each of its 32 threads, and one that waits
    jobs_ = [await desk.submit(*["mock-minute"] * 11, merge=False) for _ in range(3)]
    await asyncio.to_thread(until, lambda: roll.record(busy).get("in_flight") == 32, "no free thread")
    await asyncio.to_thread(until, lambda: has_canary_waiting(roll, busy), "a canary that waits")
    before = roll.record(busy)
    await asyncio.sleep(WELL_PAST_SECONDS)
    assert busy.poll() is None
    now = roll.record(busy)
    assert now["consumes"] is True
    assert now["proved_at"] == before["proved_at"]
    for job_id in jobs_:
        await desk.execute(jobs.cancel(job_id))
        await desk.execute(calls.cancel(job_id))
        roll.redis.publish(CANCEL_CHANNEL, str(job_id))
    await asyncio.to_thread(roll.until_proved, busy, after=before["proved_at"])


def has_canary_waiting(roll: Roll, worker: "subprocess.Popen[bytes]") -> bool:
    return any(roll.redis.llen(key) for key in roll.redis.keys(f"{CANARY}.*.{worker.pid}@*"))


def test_a_worker_that_was_frozen_is_not_blamed_for_it(team: Workers, roll: Roll) -> None:
    worker = team.start(**LIMIT)
    proved_at = roll.until_proved(worker)
    worker.send_signal(signal.SIGSTOP)
    time.sleep(WELL_PAST_SECONDS)
    worker.send_signal(signal.SIGCONT)
    for _ in range(5):
        proved_at = roll.until_proved(worker, after=proved_at)


async def test_a_worker_that_drains_longer_than_its_patience_ends_as_it_was_told(
    desk: Desk, team: Workers, roll: Roll
) -> None:
    worker = team.start(ULTRA_DRAIN_SECONDS=str(WELL_PAST_SECONDS), **LIMIT)
    await asyncio.to_thread(roll.until_proved, worker)
    await desk.until(await desk.submit("mock-minute", merge=False), is_running)
    worker.terminate()
    await asyncio.to_thread(until, lambda: not roll.record(worker).get("consumes"), "its word that it stops")
    assert await asyncio.to_thread(worker.wait, PATIENCE_SECONDS) == 0


def test_flushing_the_broker_costs_no_proof(team: Workers, roll: Roll) -> None:
    worker = team.start(**LIMIT)
    proved_at = roll.until_proved(worker)
    for _ in range(10):
        roll.redis.flushall()
        proved_at = roll.until_proved(worker, after=proved_at)


def test_a_worker_that_signs_off_leaves_nothing_of_its_own(team: Workers, roll: Roll) -> None:
    for _ in range(2):
        worker = team.start(**LIMIT)
        roll.until_proved(worker)
        worker.terminate()
        assert worker.wait(PATIENCE_SECONDS) == 0
        left = roll.keys()
        assert not [name for name in left if str(worker.pid) in name]
        assert not [name for name, members in left.items() if f"{worker.pid}@".encode() in b" ".join(members)]


def test_what_a_killed_worker_leaves_expires_or_is_cleared_by_the_next(team: Workers, roll: Roll, deaf: Path) -> None:
    deaf.write_text("all")
    killed = team.start(program=DEAF_WORKER, DEAF=str(deaf), **LIMIT)
    until(lambda: has_canary_waiting(roll, killed) and roll.record(killed), "a canary that waits", PATIENCE_SECONDS)
    killed.kill()
    killed.wait(PATIENCE_SECONDS)
    [queue] = roll.redis.keys(f"{CANARY}.*")
    assert 0 < roll.redis.ttl(queue) <= QUEUE_EXPIRES_SECONDS
    [record] = roll.redis.keys(worker_key("*"))
    assert roll.redis.ttl(record) > 0
    roll.redis.delete(record)  # as its expiry does
    roll.until_proved(team.start(**LIMIT))
    until(lambda: len(roll.redis.smembers(WORKERS_KEY)) == 1, "the list of one")


class Broker:
    """A Valkey of this test's own, to be killed and started again."""

    def __init__(self, directory: Path) -> None:
        data = DataDir(directory)
        data.valkey.mkdir(parents=True)
        port, password = free_port(), data.secret("valkey")
        self._part = valkey_part(data, port, password)
        self.url = valkey_url(port, password)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._part.command, cwd=self._part.directory, stdout=subprocess.DEVNULL)
        assert self._part.probe
        probe = self._part.probe
        until(lambda: asyncio.run(probe()), "Valkey's start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path / "broker")
    one.start()
    yield one
    one.kill()


def test_a_broker_that_is_away_ends_nobody_and_one_that_is_back_not_those_who_consume_again(
    postgres_url: str, broker: Broker, tmp_path: Path, deaf: Path
) -> None:
    with workers(postgres_url, broker.url, tmp_path) as team, Redis.from_url(broker.url) as client:
        roll = Roll(client)
        worker = team.start(program=DEAF_WORKER, DEAF=str(deaf), **LIMIT)
        proved_at = roll.until_proved(worker)
        broker.kill()
        time.sleep(WELL_PAST_SECONDS)
        assert worker.poll() is None
        broker.start()
        roll.until_proved(worker, after=proved_at)

        # Once more, and this time it reconnects as others did, in that outage that everybody has had.
        broker.kill()
        deaf.write_text("all")
        broker.start()
        assert worker.wait(PATIENCE_SECONDS) == GAVE_UP
        assert "nothing was consumed" in team.logs().splitlines()[-1]
