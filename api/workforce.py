"""Which workers consume, by what they signed into Redis."""

from collections import Counter

from redis.asyncio import Redis

from common.presence import consumers

# Whoever waits for a job needs a worker on each.
NEEDED_QUEUES = ("control", "cloud", "local")


async def workers_by_queue(redis: "Redis") -> dict[str, int]:
    """Workers a queue that prove to consume it; the needed queues are always in it.

    Raises:
        RedisError, OSError: Redis is away.
    """
    count = Counter(dict.fromkeys(NEEDED_QUEUES, 0))
    for worker in await consumers(redis):
        count.update(worker["queues"])
    return dict(count)
