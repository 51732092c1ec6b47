"""What workers counted and how long ago one swept, read from Redis for Prometheus."""

import math
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from redis.asyncio import Redis

from common.counters import COUNTERS_KEY, SWEPT_KEY, SWEPT_LIFE_SECONDS, Count

MEANINGS = {
    Count.CLAIMS: "Calls that a worker took.",
    Count.DUPLICATE_CLAIMS: (
        "Messages whose call was not to be taken: another worker had it, it was done, its job had ended, or it "
        "has to run alone. Mostly the sweep rang again while the first message waited in the broker."
    ),
    Count.STALE_RESULTS: (
        "Results refused because their call had been given to another worker, or cancelled, meanwhile. "
        "Refusing is right; that it was needed means that a worker was frozen or cut off."
    ),
    Count.LEASE_EXPIRIES: "Calls whose worker stopped renewing its lease: it died, froze, or lost Postgres.",
    Count.RESCUES: "Calls of silent workers that went back into the queue.",
    Count.DEAD_LETTERS: (
        "Calls given up because worker after worker fell silent on them: `ultra jobs dead` lists them."
    ),
    Count.SWEEPS: "Sweeps that were committed. One worker sweeps at a time.",
    Count.SWEEP_CALL_RINGS: (
        "Calls the sweep rang for: their time to be tried again had come, or their message was late or lost."
    ),
    Count.SWEEP_JOB_RINGS: "Running jobs the sweep rang for: the news that their round is complete was late or lost.",
    Count.SWEEP_TURNS: "Queued jobs whose turn had come: the sweep rang for them.",
    Count.MODEL_STARTS: "Containers that were made for local models.",
    Count.MODEL_QUEUE_MILLISECONDS: "How long those starts had waited for memory, weights or a node, together.",
    Count.MODEL_LOADS: "Instances of local models that became ready.",
    Count.MODEL_LOAD_MILLISECONDS: "How long those took, from their container's making to their first token, together.",
    Count.MODEL_FAILURES: "Starts and instances of local models that failed.",
    Count.MODEL_REFUSALS: "Local models that were refused: they fit nowhere, or failed before in a way that stays.",
    Count.MODEL_EVICTIONS: "Idle local models that made room for others.",
    Count.MODEL_WAITS: "Calls of jobs that had to wait for their model to start, and have waited.",
    Count.MODEL_WAIT_MILLISECONDS: "How long those waited, together, whether it started or not.",
}
SWEEP_AGE_MEANING = (
    "Since a sweep was last reported, give or take the five seconds between reports; +Inf where none is known of. "
    "While nobody sweeps, nothing that gets lost is found again."
)


@dataclass(frozen=True, slots=True)
class Recoveries:
    """The counts of all workers together, and the age of the last sweep, which is infinite if there was none."""

    counts: dict[Count, int]
    sweep_age_seconds: float


async def recoveries(redis: "Redis") -> Recoveries:
    """As they are now.

    Raises:
        RedisError, OSError: Redis is away.
    """
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(COUNTERS_KEY, list(Count))
    pipeline.pttl(SWEPT_KEY)
    numbers, left_ms = await cast("Awaitable[list[Any]]", pipeline.execute())
    age = SWEPT_LIFE_SECONDS - left_ms / 1000 if left_ms > 0 else math.inf
    # A counter that was never counted is shown too: from 0 to 1 is an increase, from nothing to 1 is none.
    return Recoveries({count: int(number or 0) for count, number in zip(Count, numbers, strict=True)}, age)


def families(seen: Recoveries) -> Iterator[Metric]:
    """The same for Prometheus."""
    for count, number in seen.counts.items():
        yield CounterMetricFamily(f"ultra_{count}", MEANINGS[count], value=number)
    yield GaugeMetricFamily("ultra_sweep_age_seconds", SWEEP_AGE_MEANING, value=seen.sweep_age_seconds)
