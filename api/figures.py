"""What a scrape asks of Postgres and Redis, at most every two seconds however many scrape."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.database import Database
from api.unpriced import Unpriced
from api.workforce import NEEDED_QUEUES, workers_by_queue
from common.database import calls, jobs
from common.errors import DependencyDown
from common.lanes import Lane, queue_key

FRESH_SECONDS = 2.0
ASK_SECONDS = 2.0
LIVE_STATUSES = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The queues at one moment. What could not be asked is left out, never 0."""

    is_database_up: bool = False
    is_broker_up: bool = False
    jobs: dict[str, int] = field(default_factory=dict)
    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    overdue_seconds: float | None = None
    messages: dict[str, int] = field(default_factory=dict)
    workers: dict[str, int] = field(default_factory=dict)


class Figures(Collector):
    """A snapshot, kept fresh by whoever asks, and shown to Prometheus."""

    def __init__(self, database: Database, redis: "Redis") -> None:
        self._database = database
        self._redis = redis
        self._unpriced = Unpriced(database)
        self._taken_at = 0.0
        self._taking: asyncio.Task[None] | None = None
        self._snapshot = Snapshot()

    async def refresh(self) -> None:
        """Make sure the snapshot is fresh. Never raises; takes ASK_SECONDS at most."""
        now = time.monotonic()
        if self._taking is None or (self._taking.done() and now - self._taken_at >= FRESH_SECONDS):
            self._taking = asyncio.create_task(self._take())
            self._taken_at = now
        await asyncio.shield(self._taking)

    def collect(self) -> Iterator[Metric]:
        """The snapshot as gauges, and what was counted so far."""
        seen = self._snapshot
        yield GaugeMetricFamily("ultra_database_up", "1 if Postgres answered.", value=seen.is_database_up)
        yield GaugeMetricFamily("ultra_broker_up", "1 if Redis answered.", value=seen.is_broker_up)
        live_jobs = GaugeMetricFamily("ultra_jobs", "Live jobs.", labels=["status"])
        for status, count in seen.jobs.items():
            live_jobs.add_metric([status], count)
        yield live_jobs
        live_calls = GaugeMetricFamily("ultra_calls", "Live calls.", labels=["queue", "status"])
        for names, count in seen.calls.items():
            live_calls.add_metric(names, count)
        yield live_calls
        messages = GaugeMetricFamily("ultra_queue_messages", "Messages in the broker.", labels=["queue"])
        workers = GaugeMetricFamily("ultra_workers", "Live workers that consume the queue.", labels=["queue"])
        for family, counts in ((messages, seen.messages), (workers, seen.workers)):
            for queue, count in counts.items():
                family.add_metric([queue], count)
            yield family
        if seen.overdue_seconds is not None:
            yield GaugeMetricFamily(
                "ultra_jobs_overdue_seconds",
                "For how long the sweep has owed the oldest live job a ring. Above a few seconds it is stuck.",
                value=seen.overdue_seconds,
            )

        unpriced = CounterMetricFamily(
            "ultra_unpriced_calls",
            "Answers without a known price since the first scrape of this process: give their model a `price`.",
            labels=["model"],
        )
        for model, count in self._unpriced.calls.items():
            unpriced.add_metric([model], count)
        yield unpriced

    async def _take(self) -> None:
        (is_database_up, live_jobs, live_calls, overdue), (is_broker_up, messages, workers) = await asyncio.gather(
            self._ask_database(), self._ask_broker()
        )
        self._snapshot = Snapshot(is_database_up, is_broker_up, live_jobs, live_calls, overdue, messages, workers)

    async def _ask_database(self) -> tuple[bool, dict[str, int], dict[tuple[str, str], int], float | None]:
        try:
            by_status, by_queue, overdue, _ = await asyncio.gather(
                self._database.fetch(jobs.count_by_status(), seconds=ASK_SECONDS),
                self._database.fetch(calls.count_by_status(), seconds=ASK_SECONDS),
                self._database.first(jobs.overdue(), seconds=ASK_SECONDS),
                self._unpriced.look(seconds=ASK_SECONDS),
            )
        except DependencyDown:
            return False, {}, {}, None
        live_jobs = dict.fromkeys(LIVE_STATUSES, 0) | {row["status"]: row["count_1"] for row in by_status}
        live_calls = {(row["queue"], row["status"]): row["count_1"] for row in by_queue}
        return True, live_jobs, live_calls, float(overdue["seconds"]) if overdue else None

    async def _ask_broker(self) -> tuple[bool, dict[str, int], dict[str, int]]:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                workers = await workers_by_queue(self._redis)
                queues = sorted({*workers, *NEEDED_QUEUES})
                lengths = [sum([await self._redis.llen(queue_key(queue, lane)) for lane in Lane]) for queue in queues]
        except (RedisError, OSError):
            return False, {}, {}
        return True, dict(zip(queues, lengths, strict=True)), workers
