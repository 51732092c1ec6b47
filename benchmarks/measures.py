"""How each figure is taken: of one system, once. Interleaving and statistics are `run.py`'s and `table.py`'s."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import orjson

from benchmarks.load import Load
from benchmarks.systems import SLOW_MODELS, ZERO_MODELS, System
from benchmarks.wire import Connection, encode

CONNECTIONS = 32


def submissions_per_second(system: System, *, seconds: float) -> float:
    """Accepted (202) submissions a second while the workers work on them, from 32 keep-alive clients."""
    body = system.body(ZERO_MODELS, is_merged=False)
    load = _load(system, body, ["--seconds", str(seconds)])
    system.purge()
    return len(load.ids) / load.seconds


def comparisons_per_second(system: System, *, count: int) -> float:
    """Comparisons of five zero-latency models a second, from the first POST to the last one finished."""
    return count / _seconds_for(system, ZERO_MODELS, count)


def burst_seconds(system: System, *, count: int) -> float:
    """From the first POST until all of `count` comparisons of five one-second models are finished."""
    return _seconds_for(system, SLOW_MODELS, count)


def latency_seconds(system: System, *, is_merged: bool) -> float:
    """From the POST to the first poll that shows one comparison of one-second models finished."""
    body = system.body(SLOW_MODELS, is_merged=is_merged).encode()
    return asyncio.run(_post_and_poll(system, body))


def _seconds_for(system: System, models: Sequence[str], count: int) -> float:
    body = system.body(models, is_merged=False)
    load = _load(system, body, ["--count", str(count)])
    if len(load.ids) != count:
        raise RuntimeError(f"{system.name} accepted {len(load.ids)} of {count}; refused: {load.refused}")
    finished: dict[str, float] = {}
    deadline = time.monotonic() + 120
    while pending := [id_ for id_ in load.ids if id_ not in finished]:
        system.processes.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{system.name}: {len(pending)} of {count} comparisons never finished")
        finished |= system.finished_at(pending)
        time.sleep(0.1)
    return max(finished.values()) - load.started_at


async def _post_and_poll(system: System, body: bytes) -> float:
    # 10 ms: an answer is seen 5 ms late on average, for 100 polls a second; alike for both
    async with Connection(system.port) as connection:
        start = time.perf_counter()
        accepted = await connection.request(encode("POST", system.submit_path, body))
        poll = encode("GET", system.show_path(orjson.loads(accepted.body)["id"]))
        async with asyncio.timeout(30):
            while True:
                response = await connection.request(poll)
                if system.is_finished(orjson.loads(response.body)):
                    break
                await asyncio.sleep(0.01)
        return time.perf_counter() - start


def _load(system: System, body: str, limit: Sequence[str]) -> Load:
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(system.port), "--path", system.submit_path]
    command += ["--connections", str(CONNECTIONS), "--body", body, *limit]
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        subprocess.run([*command, "--output", output.name], check=True, timeout=180)
        return Load(**orjson.loads(output.read()))
