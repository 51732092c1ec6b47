"""What a worker process is made of, put together in one place."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from common import pricing
from common.admission.shared import admission_redis
from common.admission.slots import Slots
from common.cache import AnswerCache
from common.catalog.current import current_catalog
from common.circuits import Circuits
from common.counters import Count
from common.database.connect import connect
from common.ending import end
from common.events import EventLog
from common.fleet.bell import Bell
from common.fleet.fleet import Fleet
from common.fleet.rows import PostgresRows
from common.lanes import Lane
from common.providers.registry import Providers
from common.settings import Settings
from common.telemetry import telemetry_of
from common.upstreams import Upstreams
from worker import workflows
from worker.app import BatchingCelery
from worker.asking import Asker
from worker.calls import CallRunner, Limits
from worker.canary import Canary
from worker.counters import Report, Tally, count_time
from worker.dispatch import ring
from worker.engine import Engine, Round
from worker.giving_up import give_up
from worker.gpu_queues import GpuQueues
from worker.kinds import Kind
from worker.leases import Leases
from worker.loop_thread import LoopThread
from worker.presence import Presence
from worker.recovery import Found, Sweep, suspicious_from
from worker.retention import Retention
from worker.starting import Starting
from worker.store import Store
from worker.threads import Threads

logger = logging.getLogger(__name__)


class Runtime:
    """The loop thread and everything that lives on it.

    `advance` and `run_call` are for Celery's threads: they block until the loop has done the work.
    """

    def __init__(self, settings: Settings, kind: Kind, name: str, app: BatchingCelery, threads: Threads) -> None:
        self._settings = settings
        self._app = app
        self._loop_thread = LoopThread()
        self.threads = threads
        self.canary = Canary(
            app,
            name,
            threads,
            self._loop_thread,
            settings.ultra_canary_seconds,
            on_change=self._tell_presence,
            give_up=self._give_up,
        )
        self._queues = frozenset(kind.queues)
        self._background: list[asyncio.Task[None]] = []
        workflows.register_all()
        # A job carries its pattern, so of the configuration a worker needs the catalog alone.
        self._catalog = current_catalog(settings)
        catalog = self._catalog.current
        grace = timedelta(seconds=settings.ultra_publish_grace_seconds)
        lease = timedelta(seconds=settings.ultra_lease_seconds)
        self._database = connect(settings.database_url.get_secret_value())
        self._redis: Redis = Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=6,
            socket_connect_timeout=3,
            socket_keepalive=True,
        )
        # Listening for cancellations is waiting: no time-out but the keepalive's.
        self._listening: Redis = Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_connect_timeout=3,
            socket_keepalive=True,
            health_check_interval=15,
        )
        self._events = EventLog(self._redis)
        places = settings.ultra_jobs_at_once_per_key
        tally = Tally()
        self._report = Report(self._redis, tally)
        store = Store(
            self._database,
            worker=name,
            lease=lease,
            grace=grace,
            places=places,
            suspicious=suspicious_from(settings.ultra_max_attempts),
            tally=tally,
        )
        rows = PostgresRows(store.fetch)
        self._bell = Bell(app, rows)
        waited = partial(count_time, tally, Count.MODEL_WAITS, Count.MODEL_WAIT_MILLISECONDS)
        self._fleet = Fleet(rows, ring=self._bell.ring, waited=waited)
        self._providers = Providers(settings, catalog, self._fleet)
        self._leases = Leases(store, self._listening, settings.ultra_lease_seconds)
        self._telemetry = telemetry_of(settings, "worker")
        self._gpu_queues = GpuQueues(catalog, self._redis, rows, own=kind.gpu_queue)
        queue_of = self._gpu_queues.queue_of
        self._engine = Engine(store, catalog, self._events, self._telemetry, queue_of)
        self._circuits = Circuits(
            self._redis,
            failures=settings.ultra_circuit_failures,
            open_seconds=settings.ultra_circuit_open_seconds,
        )
        self._admission_redis = admission_redis(settings.redis_url.get_secret_value())
        self._slots = Slots(self._admission_redis, is_patient=True)
        cache = AnswerCache(self._redis, ttl_seconds=settings.ultra_cache_ttl_seconds)
        self._upstreams = Upstreams(settings, catalog, self._providers, self._circuits)
        self._runner = CallRunner(
            store,
            self._leases,
            catalog,
            Asker(
                self._providers,
                cache,
                self._events,
                pricing.cost_usd,
                self._slots,
                self._telemetry,
                Starting(self._fleet, self._events, self._leases.part),
            ),
            self._upstreams,
            self._events,
            Limits(settings.ultra_max_attempts, settings.ultra_job_retry_budget, settings.ultra_prefer),
            queues=kind.queues,
            ring=self._ring_for_call,
            ring_job=self._ring_for_job,
            queue_of=queue_of,
        )
        self._presence = Presence(self._redis, name, kind, lambda: len(self._leases), self.canary)
        self._sweep = (
            Sweep(
                self._database,
                self._events,
                self._ring,
                grace=grace,
                max_attempts=settings.ultra_max_attempts,
                interval_seconds=settings.ultra_sweep_seconds,
                lease=lease,
                places=places,
                tally=tally,
            )
            if kind.does_sweep
            else None
        )
        keep_finished = timedelta(days=settings.ultra_retention_days)
        self._retention = (
            Retention(self._database, self._redis, keep_finished=keep_finished)
            if kind.does_sweep and keep_finished
            else None
        )

    def start(self) -> None:
        """Start the loop and what runs beside the tasks: heartbeats, cancellations, presence, the sweep, retention."""
        self._loop_thread.start()
        self._loop_thread.run(self._start_background())

    def advance(self, job_ids: list[str]) -> list[Round]:
        """Advance each job by a step; returns the rounds to dispatch. One job's failure is no other's.

        Where that is one call, which a worker of this kind makes and nobody waits before, it is made at once.
        """
        return self._loop_thread.run(self._advance_and_make([UUID(job_id) for job_id in job_ids]))

    def run_call(self, call_id: str) -> str | None:
        """Run a call; returns its job's id if that can be advanced now."""
        job_id = self._loop_thread.run(self._runner.run(UUID(call_id)))
        return str(job_id) if job_id else None

    def drain(self) -> None:
        """Begin to stop: calls that do not end within the drain time go back to the queue."""
        self.canary.stop()
        self._runner.is_draining = True
        loop = self._loop_thread.loop
        loop.call_soon_threadsafe(loop.call_later, self._settings.ultra_drain_seconds, self._leases.stop_all)

    def close(self) -> None:
        """Stop everything; called when no task runs any more."""
        self.canary.join()
        self._loop_thread.run(self._close())
        self._loop_thread.stop()

    def _tell_presence(self) -> None:
        self._loop_thread.loop.call_soon_threadsafe(self._presence.tell)

    def _give_up(self, reason: str) -> None:
        drain_seconds = self._settings.ultra_drain_seconds
        give_up(reason, drain=self.drain, drain_seconds=drain_seconds, in_flight=lambda: len(self._leases))

    async def _start_background(self) -> None:
        keep: list[Coroutine[Any, Any, None]] = [
            self._leases.keep(),
            self._leases.listen(),
            self._presence.keep(),
            self._report.keep(),
            self._circuits.keep(),
            self._catalog.keep(),
            self._gpu_queues.keep(),
        ]
        if self._upstreams.clouds():
            # the price list takes a moment and 10 MB, which who asks no cloud is spared
            await asyncio.to_thread(pricing.load)
        if self._sweep is not None:
            keep.append(self._sweep.keep())
        if self._retention is not None:
            keep.append(self._retention.keep())
        self._background = [asyncio.create_task(one) for one in keep]

    async def _advance_and_make(self, job_ids: list[UUID]) -> list[Round]:
        rounds = await self._advance_all(job_ids)
        while (call_id := self._own_call(rounds)) is not None:
            job_id = await self._runner.run(call_id)
            rounds = [] if job_id is None else await self._advance_all([job_id])
        return rounds

    def _own_call(self, rounds: Sequence[Round]) -> UUID | None:
        if len(rounds) != 1 or len(rounds[0].calls) != 1 or rounds[0].lane is not Lane.FRONT:
            return None
        [(call_id, queue)] = rounds[0].calls
        return UUID(call_id) if queue in self._queues else None

    async def _advance_all(self, job_ids: list[UUID]) -> list[Round]:
        steps = await asyncio.gather(*(self._engine.advance(job_id) for job_id in job_ids), return_exceptions=True)
        rounds = []
        for job_id, step in zip(job_ids, steps, strict=True):
            if isinstance(step, BaseException):
                logger.warning("job %s not advanced, the sweep will ring again: %s", job_id, step)
            elif step is not None:
                rounds.append(step)
        return rounds

    async def _ring_for_call(self, call_id: str, queue: str) -> None:
        """Publishing blocks on the broker, so it has a thread."""
        await asyncio.to_thread(ring, self._app, calls=[(call_id, queue)])

    async def _ring_for_job(self, job_id: str) -> None:
        await asyncio.to_thread(ring, self._app, job_ids=[job_id])

    def _ring(self, found: Found) -> None:
        for lane, rings in found.rings.items():
            if rings.calls or rings.job_ids:
                calls = [(call_id, self._gpu_queues.consumed(queue)) for call_id, queue in rings.calls]
                ring(self._app, calls=calls, job_ids=rings.job_ids, lane=lane)

    async def _close(self) -> None:
        await self._runner.drained()
        await end(self._background)
        await self._presence.remove()
        await self._report.send()
        await self._fleet.close()
        await self._bell.close()
        await self._events.drain()
        await self._upstreams.connectivity.close()
        await self._providers.close()
        await self._slots.close()
        await self._admission_redis.aclose()
        await self._listening.aclose()
        await self._redis.aclose()
        await self._database.dispose()
        await self._telemetry.close()
