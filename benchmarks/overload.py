"""Ten times what the machine can do, and one key's ten thousand jobs beside another one's one.

Overload: a generator posts as fast as it is answered, past the bound of waiting jobs, while this process polls,
lists and asks for the health every few milliseconds; afterwards it asks until all is as before.
Fairness: while one key has thousands of comparisons of one-second models before it, another key submits one.
"""

import asyncio
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psycopg
from rich.progress import Progress

from benchmarks import measures
from benchmarks.figures import Figure
from benchmarks.load import Load
from benchmarks.ours_system import OursSystem, ultra
from benchmarks.systems import SLOW_MODELS, ZERO_MODELS
from benchmarks.wire import Connection, encode
from cli.embedded.stack import Stack
from common.database import keys
from common.ids import uuid7

# Reached in a few seconds of the flood, so that most of it meets a full house.
WAITING_JOBS = 4000
FLOOD_SECONDS = 10.0
CONNECTIONS = 64
PROBE_PAUSE_SECONDS = 0.02
P99_TARGET_SECONDS = 0.25
RECOVERY_TARGET_SECONDS = 10.0
# As before means: within twice the usual.
USUAL_FACTOR = 2.0
MANY_JOBS = 10_000


@dataclass(slots=True)
class Probes:
    """Seconds that each kind of look took."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def p99(self, kind: str) -> float:
        taken = sorted(self.seconds[kind])
        return taken[math.ceil(0.99 * len(taken)) - 1]


def figures(scratch: Path, progress: Progress) -> list[Figure]:
    """The lines of both, from two fresh systems on one Postgres and one Valkey."""
    scratch.mkdir()
    step = progress.add_task("overload", total=2)
    with Stack(scratch / "servers", only=("postgres", "valkey")) as servers:
        ultra(servers.settings, "migrate")
        url = servers.settings["DATABASE_URL"]
        with _started(scratch, servers, {"ULTRA_MAX_QUEUED_JOBS": str(WAITING_JOBS)}) as system:
            found = _overload(system, _key(url, "flood"), _key(url, "calm"), scratch)
        progress.advance(step)
        with _started(scratch, servers, {}) as system:
            found += _fairness(system, _key(url, "many"), _key(url, "one"), scratch)
        progress.advance(step)
    return found


def _overload(system: OursSystem, flood: str, calm: str, scratch: Path) -> list[Figure]:
    capacity = statistics.median(measures.comparisons_per_second(system, count=300) for _ in range(3))
    body = system.body(ZERO_MODELS, is_merged=False)
    usual = statistics.median(asyncio.run(_look_seconds(system, calm)) for _ in range(5))
    with _flooding(system, flood, body, ["--seconds", str(FLOOD_SECONDS)], scratch) as generator:
        probes = asyncio.run(_probe(system, calm, generator))
    load = _outcome(scratch)
    recovery = asyncio.run(_until_usual(system, calm, usual))
    beside = asyncio.run(_job_seconds(system, ZERO_MODELS, calm))
    system.purge()
    refused = load.refused.get("429", 0)
    if strange := {status: count for status, count in load.refused.items() if status != "429"}:
        raise RuntimeError(f"submissions were answered {strange}")
    offered = len(load.answer_seconds) / load.seconds
    return [
        Figure("overload: submissions offered, in capacities", "x", "higher", limit=10, ours=[offered / capacity]),
        Figure("… refused with 429, of all", "%", "higher", ours=[100 * refused / len(load.answer_seconds)]),
        *(
            Figure(f"… {kind}, p99 meanwhile", "s", "lower", limit=P99_TARGET_SECONDS, ours=[probes.p99(kind)])
            for kind in probes.seconds
        ),
        Figure(
            "… until submitting and looking take at most twice their usual time",
            "s",
            "lower",
            limit=RECOVERY_TARGET_SECONDS,
            ours=[recovery],
        ),
        Figure("… another key's job while the backlog is worked off", "s", "lower", ours=[beside]),
    ]


def _fairness(system: OursSystem, many: str, one: str, scratch: Path) -> list[Figure]:
    usual = _usual(system, SLOW_MODELS, one)
    body = system.body(SLOW_MODELS, is_merged=False)
    limits = ["--count", str(MANY_JOBS), "--seconds", "120"]
    seconds = []
    with _flooding(system, many, body, limits, scratch) as generator:
        _until_accepted(system, MANY_JOBS // 2)
        seconds.append(asyncio.run(_job_seconds(system, SLOW_MODELS, one)))
        generator.wait(120)
    seconds += [asyncio.run(_job_seconds(system, SLOW_MODELS, one)) for _ in range(4)]
    system.purge()
    accepted = len(_outcome(scratch).ids)
    name = f"fairness: delay of one key's comparison by another's {accepted}"
    return [
        Figure("fairness: one comparison of one-second models at rest", "s", "lower", ours=[usual]),
        Figure(name, "rounds", "lower", limit=1, ours=[max(0.0, taken - usual) / usual for taken in seconds]),
    ]


@contextmanager
def _started(scratch: Path, servers: Stack, environment: dict[str, str]) -> Iterator[OursSystem]:
    system = OursSystem(scratch, servers.settings["DATABASE_URL"], servers.settings["REDIS_URL"], environment)
    try:
        system.start()
        measures.latency_seconds(system, is_merged=True)  # imports, pools, prepared statements
        measures.comparisons_per_second(system, count=100)
        system.purge()
        yield system
    finally:
        system.processes.stop()


@contextmanager
def _flooding(
    system: OursSystem, key: str, body: str, limits: list[str], scratch: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """The load generator with this key at work; the block ends when it has ended."""
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(system.port), "--path", system.submit_path]
    command += ["--connections", str(CONNECTIONS), "--key", key, "--body", body, *limits]
    with subprocess.Popen([*command, "--output", str(scratch / "load.json")]) as generator:
        try:
            yield generator
            if generator.wait(180) != 0:
                raise RuntimeError(f"the load generator ended with {generator.returncode}")
        finally:
            generator.kill()


def _outcome(scratch: Path) -> Load:
    return Load(**orjson.loads((scratch / "load.json").read_bytes()))


async def _probe(system: OursSystem, key: str, generator: "subprocess.Popen[bytes]") -> Probes:
    """Look at everything again and again for as long as the generator runs."""
    job_id = await _submit(system, ZERO_MODELS, key)
    paths = {
        "poll": system.show_path(job_id),
        "list": "/api/analyses?limit=20",
        "health": "/health",
    }
    probes = Probes()

    async def look(kind: str, path: str) -> None:
        taken = probes.seconds.setdefault(kind, [])
        raw = encode("GET", path, headers={"authorization": f"Bearer {key}"})
        async with Connection(system.port) as connection:
            while generator.poll() is None:
                asked_at = time.perf_counter()
                response = await connection.request(raw)
                taken.append(time.perf_counter() - asked_at)
                if response.status != 200:
                    raise RuntimeError(f"{path} was answered {response.status}")
                await asyncio.sleep(PROBE_PAUSE_SECONDS)

    await asyncio.gather(*(look(kind, path) for kind, path in paths.items()))
    return probes


async def _until_usual(system: OursSystem, key: str, usual: float) -> float:
    """Seconds until a submission, a poll, a list and the health take no more than twice their usual time."""
    since = time.perf_counter()
    async with asyncio.timeout(120):
        while True:
            begun = time.perf_counter()
            if await _look_seconds(system, key) <= USUAL_FACTOR * usual:
                return begun - since


async def _look_seconds(system: OursSystem, key: str) -> float:
    """A submission, a poll, a list and the health, one after the other."""
    begun = time.perf_counter()
    job_id = await _submit(system, ZERO_MODELS, key)
    async with Connection(system.port) as connection:
        for path in (system.show_path(job_id), "/api/analyses?limit=20", "/health"):
            await connection.request(encode("GET", path, headers={"authorization": f"Bearer {key}"}))
    return time.perf_counter() - begun


def _usual(system: OursSystem, models: list[str], key: str) -> float:
    return statistics.median(asyncio.run(_job_seconds(system, models, key)) for _ in range(5))


async def _job_seconds(system: OursSystem, models: list[str], key: str) -> float:
    """From the POST to the first poll that shows it finished."""
    begun = time.perf_counter()
    job_id = await _submit(system, models, key)
    poll = encode("GET", system.show_path(job_id), headers={"authorization": f"Bearer {key}"})
    async with asyncio.timeout(60), Connection(system.port) as connection:
        while not system.is_finished(orjson.loads((await connection.request(poll)).body)):  # noqa: ASYNC110  # another process has no event
            await asyncio.sleep(0.01)
    return time.perf_counter() - begun


async def _submit(system: OursSystem, models: list[str], key: str) -> str:
    body = system.body(models, is_merged=False).encode()
    async with Connection(system.port) as connection:
        raw = encode("POST", system.submit_path, body, {"authorization": f"Bearer {key}"})
        response = await connection.request(raw)
    if response.status != 202:
        raise RuntimeError(f"a submission of a calm key was answered {response.status}")
    job_id: str = orjson.loads(response.body)["id"]
    return job_id


def _until_accepted(system: OursSystem, count: int) -> None:
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT count(*) FROM jobs").fetchone()
            if row is not None and row[0] >= count:
                return
            system.processes.check()
            time.sleep(0.1)


def _key(database_url: str, name: str) -> str:
    """A new API key: an owner of its own."""
    key = keys.generate()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO api_keys (id, name, digest, prefix, scopes) VALUES (%s, %s, %s, %s, %s)",
            [uuid7(), name, keys.digest(key), key[:12], ["submit", "read"]],
        )
    return key
