"""The lifecycle worker of a node: what it is made of, and how it is started.

A Celery worker with one thread, whose messages only wake the loop that does the work. It is the one process that
holds the Docker socket. Stopping it stops no model, unless it was started to take them along: the next one finds them
as they are.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError

from common.catalog.current import current_catalog
from common.catalog.local import LocalModel
from common.database.connect import connect
from common.doorbell import RECONCILE, lifecycle_queue
from common.ending import end
from common.events import EventLog
from common.fleet import logs
from common.fleet.contracts import LABEL_NODE
from common.fleet.store import FleetStore
from common.logs import configure_logging
from common.settings import Settings
from worker.app import BatchingCelery, create_app
from worker.canary import CANARY, Canary
from worker.counters import Report, Tally
from worker.giving_up import give_up
from worker.kinds import Kind
from worker.lifecycle.carrying import Carrier
from worker.lifecycle.container import Container
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import EngineError, NoSuchContainer
from worker.lifecycle.fetching import Fetching
from worker.lifecycle.gpus import GpuReader, open_gpus
from worker.lifecycle.history import History
from worker.lifecycle.host import HostMemory, default_limit_bytes
from worker.lifecycle.log_reader import LogReader
from worker.lifecycle.looking import Lookout
from worker.lifecycle.observing import is_instance
from worker.lifecycle.operations import Operations
from worker.lifecycle.probing import Prober
from worker.lifecycle.proving import Proving
from worker.lifecycle.reconciler import Reconciler
from worker.lifecycle.site import own_container, site_of, weights_folder
from worker.lifecycle.template import Site, network_config
from worker.loop_thread import LoopThread
from worker.presence import Presence
from worker.start import NICENESS, consume, process_name
from worker.threads import Threads

# Docker, Postgres and the broker may come up after us.
RETRY_SECONDS = 2.0
# What a model may take to finish when its worker takes it along, and how long the worker waits for all of them.
LAST_DRAIN_SECONDS = 5.0
LEAVE_SECONDS = 12.0
STOP_PULLS_SECONDS = 5.0
LEAVE_LOOK_SECONDS = 0.2

logger = logging.getLogger(__name__)


def lifecycle_kind(node: str) -> Kind:
    """One a node, and its own queue."""
    return Kind("lifecycle", (lifecycle_queue(node),), threads=1)


def run_lifecycle_worker(settings: Settings, *, node: str | None = None, takes_models_along: bool = False) -> int:
    """Look after this node's models until told to stop, and stop them too if so wished; returns the exit code."""
    configure_logging(settings)
    os.nice(NICENESS)
    node = node or settings.ultra_node or socket.gethostname()
    kind = lifecycle_kind(node)
    hostname = process_name(kind, None)  # of this process: the node is in its queue
    app = create_app(settings)
    runtime = LifecycleRuntime(settings, kind, hostname, node, app, takes_models_along=takes_models_along)
    register(app, runtime)
    return consume(app, runtime, kind.queues, hostname, ["--pool=solo"])


def register(app: BatchingCelery, runtime: "LifecycleRuntime") -> None:
    """The tasks: a doorbell, and the proof that it is heard."""

    @app.task(name=RECONCILE)  # type: ignore[untyped-decorator]  # celery is untyped
    def reconcile(_model: str) -> None:
        """Look after the models now rather than in a few seconds."""
        runtime.wake()

    @app.task(name=CANARY, send_events=False)  # type: ignore[untyped-decorator]
    def canary() -> None:
        """Prove that this process consumes."""
        runtime.canary.came_back()


class LifecycleRuntime:
    """The loop thread and everything that lives on it."""

    def __init__(
        self,
        settings: Settings,
        kind: Kind,
        name: str,
        node: str,
        app: BatchingCelery,
        *,
        takes_models_along: bool = False,
    ) -> None:
        self._settings = settings
        self._takes_models_along = takes_models_along
        self._node = node
        self._loop_thread = LoopThread()
        self.canary = Canary(
            app,
            name,
            Threads(kind.threads),
            self._loop_thread,
            settings.ultra_canary_seconds,
            on_change=self._tell_presence,
            give_up=self._give_up,
        )
        self._catalog = current_catalog(settings)
        self._redis: Redis = Redis.from_url(
            settings.redis_url.get_secret_value(), socket_timeout=6, socket_connect_timeout=3, socket_keepalive=True
        )
        self._presence = Presence(self._redis, name, kind, lambda: 0, self.canary)
        self._tally = Tally()
        self._report = Report(self._redis, self._tally)
        self._events = EventLog(self._redis)
        self._database = connect(settings.database_url.get_secret_value())
        self._store = FleetStore(self._database, node)
        self._engine = DockerEngine(settings.docker_host)
        self._prober = Prober()
        self._background: list[asyncio.Task[None]] = []
        self._reconciler: Reconciler | None = None

    def start(self) -> None:
        """Start the loop, presence and the work."""
        self._loop_thread.start()
        self._loop_thread.run(self._start())

    def wake(self) -> None:
        """Look now. From any thread."""
        self._loop_thread.loop.call_soon_threadsafe(self._wake)

    def drain(self) -> None:
        """Nothing is in flight that could not be taken up again."""
        self.canary.stop()

    def close(self) -> None:
        """Stop everything; the models go on unless they are to be taken along."""
        self.canary.join()
        self._loop_thread.run(self._close())
        self._loop_thread.stop()

    def _wake(self) -> None:
        if self._reconciler is not None:
            self._reconciler.wake()

    def _tell_presence(self) -> None:
        self._loop_thread.loop.call_soon_threadsafe(self._presence.tell)

    def _give_up(self, reason: str) -> None:
        give_up(reason, drain=self.drain, drain_seconds=0, in_flight=lambda: 0)

    async def _start(self) -> None:
        gpus = await open_gpus(self._settings)
        keep: list[Coroutine[Any, Any, None]] = [
            self._presence.keep(),
            self._report.keep(),
            self._catalog.keep(),
            self._keep_models(gpus),
        ]
        self._background = [asyncio.create_task(one) for one in keep]

    async def _keep_models(self, gpus: GpuReader) -> None:
        """For ever. Where our own code fails it is another process's turn: this one would only seem to live."""
        try:
            await self._look_after_models(gpus)
        except Exception:
            logger.exception("models are not looked after any more")
            self._give_up("its own code failed")

    async def _look_after_models(self, gpus: GpuReader) -> None:
        """For ever, once Postgres and Docker have said where we are."""
        store = self._store
        site, memory = await self._settle()
        prober = self._prober
        fetching = Fetching(self._engine, store, weights_folder(self._settings), site, self._wake)
        proving = Proving(store, prober, self._wake)
        lookout = Lookout(
            engine=self._engine,
            store=store,
            prober=prober,
            fetching=fetching,
            proving=proving,
            entries=self._entries,
            site=site,
            memory=memory,
            gpus=gpus,
        )
        carrier = Carrier(self._engine, store, fetching, proving, History(store, self._tally), site)
        self._reconciler = Reconciler(
            self._engine,
            store,
            lookout,
            carrier,
            Operations(self._database, self._events, self._node),
            installation=str(site.installation),
            interval_seconds=self._settings.ultra_reconcile_seconds,
        )
        logger.info("looking after the models of node %s, reached by %s", site.node, site.reach)
        reader = LogReader(self._engine, str(site.installation))
        try:
            await asyncio.gather(
                self._reconciler.keep(),
                self._reconciler.watch(),
                logs.serve(self._redis, self._node, reader.read),
            )
        finally:
            await fetching.close()
            await proving.close()
            await gpus.close()

    async def _settle(self) -> tuple[Site, HostMemory]:
        """Whose containers we make, on which network, and how much they may take; waits until that can be known."""
        has_said = False
        while True:
            try:
                is_in_container = await self._is_in_container()
                installation = await self._store.installation()
                site = site_of(self._settings, installation, self._node, is_in_container=is_in_container)
                config = network_config(site.installation, site.reach)
                network = await self._engine.ensure_network(site.network, config)
                total_bytes = await self._engine.total_memory_bytes()
            except (EngineError, SQLAlchemyError, OSError) as error:
                if not has_said:
                    logger.warning("no model is looked after yet: %s", error)
                has_said = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            mib = self._settings.ultra_model_memory_mib
            limit_bytes = default_limit_bytes(total_bytes) if mib is None else mib << 20
            return replace(site, network=network), HostMemory(limit_bytes, is_local=site.reach != "published")

    async def _is_in_container(self) -> bool:
        """Whether this worker is in a container of the engine that it is to use."""
        own = own_container()
        try:
            return own is not None and bool(await self._engine.inspect(own))
        except NoSuchContainer:
            return False

    def _entries(self) -> Mapping[str, LocalModel]:
        return {name: entry for name, entry in self._catalog.value.entries.items() if isinstance(entry, LocalModel)}

    async def _stop_models(self) -> None:
        """Those that are slower than their time are left to the next worker."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._store.retire_all("Its worker stopped.", LAST_DRAIN_SECONDS)
                installation = str(await self._store.installation())
                self._wake()
                while await self._has_models(installation):  # noqa: ASYNC110  # of "none left" there is no event
                    await asyncio.sleep(LEAVE_LOOK_SECONDS)
        except (EngineError, SQLAlchemyError, OSError) as error:
            logger.warning("models left as they are: %s", str(error) or "they took too long to stop")

    async def _has_models(self, installation: str) -> bool:
        """Rows too: what nobody is there to call stopped would be shown as leaving for ever."""
        if any(row.node == self._node for row in (await self._store.read({})).desired):
            return True
        return any(is_instance(one) for one in await self._own(installation))

    async def _stop_pulls(self) -> None:
        """What pulls weights would go on by itself; the next pull takes up what has come."""
        try:
            async with asyncio.timeout(STOP_PULLS_SECONDS):
                for one in await self._own(str(await self._store.installation())):
                    if not is_instance(one):
                        await self._engine.remove(one.id, force=True)
        except (EngineError, SQLAlchemyError, OSError) as error:
            logger.warning("pulls left as they are: %s", str(error) or "Postgres or Docker does not answer")

    async def _own(self, installation: str) -> list[Container]:
        return [one for one in await self._engine.ours(installation) if one.labels.get(LABEL_NODE) == self._node]

    async def _close(self) -> None:
        takes_along = self._takes_models_along and self._reconciler is not None
        if takes_along:
            await self._stop_models()
        await end(self._background)
        if takes_along:
            await self._stop_pulls()
        await self._presence.remove()
        await self._report.send()
        await self._events.drain()
        await self._prober.close()
        await self._engine.close()
        await self._redis.aclose()
        await self._database.dispose()
