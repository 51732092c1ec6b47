"""What an API process is made of, put together in one place."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta

from redis.asyncio import Redis

from api.auth import Auth, is_key_required, refuse_locked_door
from api.backlog import REFRESH_SECONDS, Backlog
from api.database import Database
from api.events.endings import PostgresEndings
from api.events.hub import Hub
from api.events.source import BLOCK_MILLISECONDS, RedisSource
from api.figures import Figures
from api.gateway.parts import GatewayParts
from api.health import Health
from api.jobs import Jobs
from api.metering import Metering
from api.metrics import Metrics
from api.operations import Operations
from api.submit import Submissions
from common.background import keep_doing
from common.catalog.catalog import Catalog
from common.circuits import Circuits
from common.database.connect import connect
from common.doorbell import Doorbell, producer_app
from common.ending import end
from common.events import EventLog
from common.fleet.bell import Bell
from common.fleet.fleet import Fleet
from common.fleet.rows import PostgresRows
from common.patterns.load import Patterns
from common.providers.registry import Providers
from common.reloading import Reloaded
from common.settings import Settings
from common.telemetry import telemetry_of

# Submissions leave through one connection; the rest serve polls.
POOL_SIZE = 10
# Events that Redis did not take by then are lost; the jobs they tell of are not.
DRAIN_SECONDS = 2
# What the server has cut off still ends its upstream, a program maybe, and writes down what it used.
CUT_OFF_SECONDS = 2.5


class Runtime:
    """The parts that requests share. Connects to nothing until something is asked of it."""

    def __init__(
        self,
        settings: Settings,
        catalog: Reloaded[Catalog],
        patterns: Reloaded[Patterns],
        metrics: Metrics,
        version: str,
        host_names: frozenset[str] | None = None,
    ) -> None:
        database_url, redis_url = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
        self.settings = settings
        self.requests: Collection[asyncio.Task[None]] = ()
        """Those that the server had to cut off, when it stops."""
        self._catalog = catalog
        self._patterns = patterns
        self.metrics = metrics
        self.version = version
        self.database = Database(connect(database_url, pool_size=POOL_SIZE))
        self.redis: Redis = Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2, socket_keepalive=True)
        self.events = EventLog(self.redis)
        producer = producer_app(redis_url)
        self.doorbell = Doorbell(producer)
        rows = PostgresRows(self.database.fetch)
        self._bell = Bell(producer, rows)
        self._fleet = Fleet(rows, ring=self._bell.ring, waited=metrics.model_waits.observe)
        self.operations = Operations(self.database, self._bell)
        self.telemetry = telemetry_of(settings, "api")
        self.jobs = Jobs(self.database, self.redis, self.events, self.telemetry)
        # Reads of event streams wait; a read that outlives them all means a dead connection.
        self._reading: Redis = Redis.from_url(
            redis_url,
            socket_timeout=BLOCK_MILLISECONDS / 1000 + 5,
            socket_connect_timeout=2,
            socket_keepalive=True,
        )
        self.hub = Hub(RedisSource(self._reading, self.redis), PostgresEndings(self.database))
        metrics.watch(self.hub)
        metrics.watch_files(catalog, patterns)
        self.providers = Providers(settings, catalog.current, self._fleet)
        circuits = Circuits(
            self.redis, failures=settings.ultra_circuit_failures, open_seconds=settings.ultra_circuit_open_seconds
        )
        self.health = Health(
            settings, catalog.current, self.providers, self.database, self.redis, self.broken_edits, circuits
        )
        grace = timedelta(seconds=settings.ultra_publish_grace_seconds)
        self.figures = Figures(self.database, self.redis, circuits, grace)
        metrics.registry.register(self.figures)
        self.auth = Auth(self.database, is_required=is_key_required(settings))
        self.backlog = Backlog(self.database, settings.ultra_max_queued_jobs, settings.ultra_jobs_at_once_per_key)
        self.metering = Metering(redis_url, self.database, catalog.current)
        metrics.registry.register(self.metering)
        self._gateway = GatewayParts(
            settings, catalog.current, self.providers, circuits, self.metering, self.telemetry, self._fleet
        )
        self.gateway = self._gateway.app(self.auth, metrics, host_names)
        self.submissions = Submissions(
            self.database,
            catalog.current,
            patterns.current,
            self.doorbell,
            self.backlog,
            grace,
            self.telemetry,
        )

    @property
    def catalog(self) -> Catalog:
        """As it is now: take it once for an answer that should agree with itself."""
        return self._catalog.value

    @property
    def patterns(self) -> Patterns:
        """As they are now."""
        return self._patterns.value

    def broken_edits(self) -> list[str]:
        """What is wrong with the files whose last good state is in force, one line each."""
        return [one.fault for one in (self._catalog, self._patterns) if one.fault is not None]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the background going; on leaving, send what waits and close every connection.

        Raises:
            ConfigError: the door is locked and there is no key.
        """
        await refuse_locked_door(self.settings, self.database)
        background = [
            asyncio.create_task(keep_doing(self.backlog.count, pause_seconds=REFRESH_SECONDS)),
            asyncio.create_task(self._catalog.keep()),
            asyncio.create_task(self._patterns.keep()),
            asyncio.create_task(keep_doing(self._gateway.keep)),
            asyncio.create_task(self.metering.keep()),
        ]
        try:
            async with self.hub.running():
                yield
        finally:
            await end(background)
            await self._close()

    async def _close(self) -> None:
        if self.requests:
            await asyncio.wait(self.requests, timeout=CUT_OFF_SECONDS)
        await self._gateway.close()
        self.metrics.registry.unregister(self.metering)
        await self.metering.close()
        await self._fleet.close()
        await self._bell.close()
        await self.doorbell.close()
        await self.events.drain(seconds=DRAIN_SECONDS)
        self.metrics.registry.unregister(self.figures)
        await self._reading.aclose()
        await self.redis.aclose()
        await self.database.close()
        await self.telemetry.close()
