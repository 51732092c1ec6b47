"""What a scrape asks of Postgres and Redis, at most every two seconds however many scrape."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api import fleet_figures
from api.database import Database
from api.fleet_figures import FleetRows
from api.recoveries import Recoveries, families, recoveries
from api.unpriced import Unpriced
from api.workforce import NEEDED_QUEUES, workers_by_queue
from common.circuits import Circuits
from common.database import calls, jobs, waiting
from common.errors import DependencyDown
from common.fleet import inventory, wishes
from common.lanes import Lane, queue_key

FRESH_SECONDS = 2.0
ASK_SECONDS = 2.0
LIVE_STATUSES = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Stored:
    """What Postgres says of the queues, and of the fleet."""

    jobs: dict[str, int]
    calls: dict[tuple[str, str], int]
    oldest_seconds: dict[str, float]
    overdue_seconds: float
    fleet: FleetRows


@dataclass(frozen=True, slots=True)
class Brokered:
    """What Redis says of the queues, and of those who work on them."""

    messages: dict[str, int]
    workers: dict[str, int]
    recoveries: Recoveries
    open_circuits: list[str] = field(default_factory=list)


class Figures(Collector):
    """What was found last, kept fresh by whoever asks, and shown to Prometheus.

    What could not be asked is left out, never 0. `grace` is how long a doorbell may go unanswered.
    """

    def __init__(self, database: Database, redis: "Redis", circuits: Circuits, grace: timedelta) -> None:
        self._database = database
        self._redis = redis
        self._circuits = circuits
        self._grace = grace
        self._unpriced = Unpriced(database)
        self._taken_at = 0.0
        self._taking: asyncio.Task[None] | None = None
        self._stored: Stored | None = None
        self._brokered: Brokered | None = None

    async def refresh(self) -> None:
        """Make sure the figures are fresh. Never raises; takes ASK_SECONDS at most."""
        now = time.monotonic()
        if self._taking is None or (self._taking.done() and now - self._taken_at >= FRESH_SECONDS):
            self._taking = asyncio.create_task(self._take())
            self._taken_at = now
        await asyncio.shield(self._taking)

    def collect(self) -> Iterator[Metric]:
        """The figures as gauges, and what was counted so far."""
        stored, brokered = self._stored, self._brokered
        yield GaugeMetricFamily("ultra_database_up", "1 if Postgres answered.", value=stored is not None)
        yield GaugeMetricFamily("ultra_broker_up", "1 if Redis answered.", value=brokered is not None)
        if stored is not None:
            yield from _from_postgres(stored)
            yield from fleet_figures.families(stored.fleet)
        if brokered is not None:
            yield from _from_redis(brokered)
            yield from families(brokered.recoveries)
        unpriced = CounterMetricFamily(
            "ultra_unpriced_calls",
            "Answers without a known price since the first scrape of this process: give their model a `price`.",
            labels=["model"],
        )
        for model, count in self._unpriced.calls.items():
            unpriced.add_metric([model], count)
        yield unpriced

    async def _take(self) -> None:
        self._stored, self._brokered = await asyncio.gather(self._ask_database(), self._ask_broker())

    async def _ask_database(self) -> Stored | None:
        try:
            by_status, by_queue, oldest, overdue, fleet, _ = await asyncio.gather(
                self._database.fetch(jobs.count_by_status(), seconds=ASK_SECONDS),
                self._database.fetch(calls.count_by_status(), seconds=ASK_SECONDS),
                self._database.fetch(waiting.oldest(self._grace), seconds=ASK_SECONDS),
                self._database.fetch(jobs.overdue(), seconds=ASK_SECONDS),
                self._fleet(),
                self._unpriced.look(seconds=ASK_SECONDS),
            )
        except DependencyDown:
            return None
        return Stored(
            jobs=dict.fromkeys(LIVE_STATUSES, 0) | {row["status"]: row["count_1"] for row in by_status},
            calls={(row["queue"], row["status"]): row["count_1"] for row in by_queue},
            oldest_seconds=dict.fromkeys(NEEDED_QUEUES, 0.0) | {row["queue"]: row["seconds"] for row in oldest},
            overdue_seconds=float(overdue[0]["seconds"]),
            fleet=fleet,
        )

    async def _fleet(self) -> FleetRows:
        statements = inventory.nodes(), inventory.gpus(), wishes.look()
        return FleetRows(*await asyncio.gather(*(self._database.fetch(one, seconds=ASK_SECONDS) for one in statements)))

    async def _ask_broker(self) -> Brokered | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                workers = await workers_by_queue(self._redis)
                queues = sorted({*workers, *NEEDED_QUEUES})
                lengths = [sum([await self._redis.llen(queue_key(queue, lane)) for lane in Lane]) for queue in queues]
                counted = await recoveries(self._redis)
                await self._circuits.refresh()
        except (RedisError, OSError):
            return None
        messages = dict(zip(queues, lengths, strict=True))
        return Brokered(messages, workers, counted, self._circuits.open_keys())


def _from_postgres(stored: Stored) -> Iterator[Metric]:
    live_jobs = GaugeMetricFamily("ultra_jobs", "Live jobs.", labels=["status"])
    for status, count in stored.jobs.items():
        live_jobs.add_metric([status], count)
    yield live_jobs
    live_calls = GaugeMetricFamily("ultra_calls", "Live calls.", labels=["queue", "status"])
    for names, count in stored.calls.items():
        live_calls.add_metric(names, count)
    yield live_calls
    yield by_queue(
        "ultra_queue_oldest_seconds",
        "For how long the oldest work of the queue has waited for a worker. Jobs that wait for their turn, and calls "
        "that wait for the time of their next attempt, are not late and not counted.",
        stored.oldest_seconds,
    )
    yield GaugeMetricFamily(
        "ultra_jobs_overdue_seconds",
        "For how long the sweep has owed a running job a ring. Above a few seconds it is stuck, or far behind.",
        value=stored.overdue_seconds,
    )


def _from_redis(brokered: Brokered) -> Iterator[Metric]:
    yield by_queue("ultra_queue_messages", "Messages in the broker.", brokered.messages)
    yield by_queue("ultra_workers", "Workers that prove to consume the queue.", brokered.workers)
    circuits = GaugeMetricFamily(
        "ultra_circuit_open",
        "1 for a model that is left alone after repeated failures; it is probed now and then. Others are not shown.",
        labels=["circuit"],
    )
    for circuit in brokered.open_circuits:
        circuits.add_metric([circuit], 1)
    yield circuits


def by_queue(name: str, meaning: str, figures: Mapping[str, float]) -> Metric:
    """A gauge with a value a queue."""
    family = GaugeMetricFamily(name, meaning, labels=["queue"])
    for queue, figure in figures.items():
        family.add_metric([queue], figure)
    return family
