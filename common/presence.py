"""Where workers say that they are there: a set of names, and a record a name that expires.

A record says which queues the worker is bound to, and whether it proves to consume them (`worker/canary.py`).
"""

from collections.abc import Awaitable
from typing import Any, cast

import orjson
from redis.asyncio import Redis

WORKERS_KEY = "ultra:workers"
BEAT_SECONDS = 5
# Three beats: a worker that missed them is not counted on.
EXPIRES_SECONDS = 15
# The field of a record that is true while the worker's canaries come back.
CONSUMES = "consumes"
# The UUID of the GPU whose models' calls it makes, where it is pinned to one.
PINNED_TO = "gpu"


def worker_key(name: str) -> str:
    return f"ultra:worker:{name}"


async def consumers(redis: "Redis") -> list[dict[str, Any]]:
    """The records of the workers that prove to consume their queues.

    Raises:
        RedisError, OSError: Redis is away.
    """
    # redis-py types its commands for both of its clients at once
    names = [name.decode() for name in await cast("Awaitable[set[bytes]]", redis.smembers(WORKERS_KEY))]
    records = await redis.mget([worker_key(name) for name in names]) if names else []
    workers = [orjson.loads(record) for record in records if record is not None]
    return [worker for worker in workers if worker.get(CONSUMES)]
