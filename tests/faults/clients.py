"""The clients: one that submits under load and writes down every answer, and many that watch."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import orjson
import psycopg

from benchmarks.wire import Connection, encode
from tests.faults.history import Reading, Refusal

PACE_SECONDS = 0.25
# Of the target: it is filled up in steps.
ENOUGH = 0.97
POSTS_AT_ONCE = 16
ANSWER_SECONDS = 30.0
CALLS_A_JOB = 3
# Without the jobs that have no calls yet an outage of the broker would pile them up: recovery would tell of the pile.
LOAD = """
SELECT (SELECT count(*) FROM calls WHERE status IN ('queued', 'running')),
       (SELECT count(*) FROM jobs WHERE status = 'queued')
"""
ENDS_OF_CALLS = ("call.finished", "call.failed")


class Submitter:
    """Keeps `target` calls in flight by submitting jobs; knows every 202 it was given."""

    def __init__(self, api_port: int, database_url: str, target: int, bodies: Callable[[int], bytes]) -> None:
        self.acknowledged: dict[str, float] = {}
        self.refusals: list[Refusal] = []
        self.live_calls = 0
        self._to_come = 0
        self.enough = int(target * ENOUGH)
        self._port = api_port
        self._url = database_url
        self._target = target
        self._bodies = bodies
        self._number = 0
        self._on_ack: list[Callable[[str], None]] = []

    def on_acknowledged(self, hear: Callable[[str], None]) -> None:
        """Have a function called with the id of each accepted job."""
        self._on_ack.append(hear)

    async def keep(self) -> None:
        """Submit for ever."""
        while True:
            started = time.monotonic()
            await self._count()
            missing = max(1, (self._target - self.live_calls - self._to_come) // CALLS_A_JOB)
            await asyncio.gather(*(self.submit() for _ in range(min(POSTS_AT_ONCE, missing))))
            await asyncio.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - started)))

    async def submit(self, body: bytes | None = None) -> str | None:
        """Submit one job; its id if it was accepted."""
        self._number += 1
        raw = encode("POST", "/api/analyze", body or self._bodies(self._number))
        at = time.time()
        try:
            async with asyncio.timeout(ANSWER_SECONDS), Connection(self._port) as connection:
                response = await connection.request(raw)
        except (OSError, asyncio.IncompleteReadError):
            self.refusals.append(Refusal(at, 0, has_retry_after=False))
            return None
        if response.status != 202:
            self.refusals.append(Refusal(at, response.status, "retry-after" in response.headers))
            return None
        job_id: str = orjson.loads(response.body)["id"]
        self.acknowledged[job_id] = time.time()
        for hear in self._on_ack:
            hear(job_id)
        return job_id

    async def _count(self) -> None:
        """Calls that wait or run, and those that jobs not yet begun will make; as before while Postgres is away."""
        try:
            async with asyncio.timeout(5):
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    cursor = await connection.execute(LOAD)
                    row = await cursor.fetchone()
        except (psycopg.Error, TimeoutError):
            return
        assert row is not None
        self.live_calls, self._to_come = row[0], row[1] * CALLS_A_JOB


class Readers:
    """Follow jobs by Server-Sent Events as a good client does: come back with the id of the last event."""

    def __init__(self, api_port: int, share: float, rng: random.Random) -> None:
        self.readings: list[Reading] = []
        self._port = api_port
        self._share = share
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = 0

    @property
    def open(self) -> int:
        """Readers whose job has not ended for them."""
        return len(self._tasks)

    def maybe_follow(self, job_id: str) -> None:
        """Follow this job with as many readers as its share says, on average."""
        whole, part = divmod(self._share, 1)
        for _ in range(int(whole) + (self._rng.random() < part)):
            self.follow(job_id)

    def follow(self, job_id: str) -> None:
        reading = Reading(job_id)
        self.readings.append(reading)
        task = asyncio.create_task(self._follow(reading))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> int:
        """Wait until every reader has seen its job's end; returns how many have not."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    async def _follow(self, reading: Reading) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                if await self._read(reading):
                    return
            reading.resumptions += 1
            await asyncio.sleep(0.2 + self._rng.random())

    async def _read(self, reading: Reading) -> bool:
        """One connection; whether the job's end was seen on it."""
        headers = {"last-event-id": reading.events[-1][0]} if reading.events else {}
        path = f"/api/analysis/{reading.job_id}/events"
        async with Connection(self._port) as connection:
            status, body = await connection.stream(encode("GET", path, headers=headers))
            if status == 204:
                return True
            if status != 200:
                return False
            rest = b""
            async for part in body:
                *events, rest = (rest + part).split(b"\n\n")
                for event in events:
                    if (seen := parsed(event.split(b"\n"))) is not None:
                        reading.events.append(seen)
                        if seen[1] == "job.finished":
                            return True
        return False


def parsed(lines: Sequence[bytes]) -> tuple[str, str, str | None] | None:
    """`(id, name, call)` of an event; None for a comment. `call` only where the event ends one."""
    fields = dict(line.split(b": ", 1) for line in lines if b": " in line and not line.startswith(b":"))
    if b"id" not in fields:
        return None
    name = fields[b"event"].decode()
    call = orjson.loads(fields[b"data"])["call"] if name in ENDS_OF_CALLS else None
    return fields[b"id"].decode(), name, call
