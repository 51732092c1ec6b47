"""Which workers consume, by what they signed into Redis."""

from collections import Counter
from collections.abc import Awaitable
from typing import Any, cast

import orjson
from redis.asyncio import Redis

from common.presence import CONSUMES, WORKERS_KEY, worker_key

# Whoever waits for a job needs a worker on each.
NEEDED_QUEUES = ("control", "cloud", "local")


async def workers_by_queue(redis: "Redis") -> dict[str, int]:
    """Workers a queue that prove to consume it; the needed queues are always in it.

    Raises:
        RedisError, OSError: Redis is away.
    """
    # redis-py types its commands for both of its clients at once
    names = [name.decode() for name in await cast("Awaitable[set[bytes]]", redis.smembers(WORKERS_KEY))]
    records = await redis.mget([worker_key(name) for name in names]) if names else []
    count = Counter(dict.fromkeys(NEEDED_QUEUES, 0))
    for record in records:
        if record is not None:
            worker: dict[str, Any] = orjson.loads(record)
            if worker.get(CONSUMES):
                count.update(worker["queues"])
    return dict(count)
