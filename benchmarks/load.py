"""The load generator, a process of its own: posts one body again and again, prints what it saw as JSON.

python -m benchmarks.load --port P --path /api/analyze --body '{…}' --connections 32 --seconds 5
"""

import argparse
import asyncio
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
import uvloop

from benchmarks.wire import Connection, encode


@dataclass(slots=True)
class Load:
    """What happened to the submissions. Times are seconds; `started_at` is Unix time."""

    started_at: float = 0.0
    seconds: float = 0.0
    ids: list[str] = field(default_factory=list)
    answer_seconds: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)


async def generate(port: int, raw: bytes, connections: int, seconds: float, count: int) -> Load:
    """Post `raw` over that many connections until the time is up or `count` submissions were sent."""
    load = Load()
    remaining = count

    async def client() -> None:
        nonlocal remaining
        async with Connection(port) as connection:
            await everybody_connected.wait()
            while remaining > 0 and time.perf_counter() < deadline:
                remaining -= 1
                sent_at = time.perf_counter()
                response = await connection.request(raw)
                load.answer_seconds.append(time.perf_counter() - sent_at)
                if response.status == 202:
                    load.ids.append(orjson.loads(response.body)["id"])
                else:
                    status = str(response.status)
                    load.refused[status] = load.refused.get(status, 0) + 1

    everybody_connected = asyncio.Barrier(connections)
    load.started_at, start = time.time(), time.perf_counter()
    deadline = start + seconds
    await asyncio.gather(*(client() for _ in range(connections)))
    load.seconds = time.perf_counter() - start
    return load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--key", help="an API key to submit with")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    headers = {"authorization": f"Bearer {given.key}"} if given.key else None
    raw = encode("POST", given.path, given.body.encode(), headers)
    load = uvloop.run(generate(given.port, raw, given.connections, given.seconds, given.count))
    given.output.write_bytes(orjson.dumps(asdict(load)))


if __name__ == "__main__":
    main()
