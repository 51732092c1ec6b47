"""The loop of a node: look, plan, carry out, wait for news. A doorbell and Docker's events only wake it.

Whatever is lost, of messages, events or this process itself, costs the seconds until the next look.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from common.fleet.contracts import Instance
from common.fleet.store import FleetStore
from worker.lifecycle.carrying import Carrier
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import EngineError
from worker.lifecycle.looking import Look, Lookout
from worker.lifecycle.operations import Operations
from worker.lifecycle.planning.plan import account, plan

# News come in bursts: a container that ends tells of it three times.
GATHER_SECONDS = 0.02
# One that loads is looked at again after a tenth of its age: nobody waits much longer than the load takes.
LOADING_SHARE = 0.1
SOONEST_SECONDS, LATEST_SECONDS = 0.1, 2.0
# Plans that each ask for another one at once: more than any start needs, so something goes round in circles.
MAX_STEPS_AT_ONCE = 20
# For how long events are asked for at a time.
EVENTS_SECONDS = 30.0
AWAY_SECONDS = 1.0
# Those that are news: the others tell what we did ourselves.
NEWS = frozenset({"die", "oom", "destroy"})

logger = logging.getLogger(__name__)


class Reconciler:
    """Belongs to an event loop. `wake` from there, whenever there may be something to do."""

    def __init__(
        self,
        engine: DockerEngine,
        store: FleetStore,
        lookout: Lookout,
        carrier: Carrier,
        operations: Operations,
        *,
        installation: str,
        interval_seconds: float,
    ) -> None:
        self._engine = engine
        self._store = store
        self._lookout = lookout
        self._carrier = carrier
        self._operations = operations
        self._installation = installation
        self._interval_seconds = interval_seconds
        self._news = asyncio.Event()
        self._steps = 0
        self._is_away = False

    def wake(self) -> None:
        """There may be something to do."""
        self._news.set()

    async def keep(self) -> None:
        """Reconcile for ever."""
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            pause = await self._attempt()
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def watch(self) -> None:
        """Hear of containers that end, for ever. What is missed here, the next look sees."""
        since = time.time()
        while True:
            until = time.time() + EVENTS_SECONDS
            try:
                async for action in self._engine.changes(self._installation, since, until):
                    if action in NEWS:
                        self.wake()
                since = until
                # One whose clock is ahead of ours ends at once.
                await asyncio.sleep(min(AWAY_SECONDS, max(0.0, until - time.time())))
            except EngineError as error:
                logger.debug("no events: %s", error.message)
                await asyncio.sleep(AWAY_SECONDS)

    async def once(self) -> float:
        """One round; returns how long the next may wait.

        Raises:
            EngineError: the engine's.
            SQLAlchemyError, OSError: Postgres is away.
        """
        look = await self._lookout.look()
        now = look.rows.read_at
        ground = look.rows.desired, look.observed, look.gpus, look.host, now
        effects = plan(*ground, peers=look.rows.peers)
        # Before anything is claimed: whoever is not heard of has its models taken from it.
        await self._store.report(look.host, look.gpus, account(*ground))
        has_moved = await self._carrier.carry_out(effects, look)
        await self._operations.follow()
        return self._pause(look, has_moved=has_moved)

    async def _attempt(self) -> float:
        try:
            pause = await self.once()
        except (EngineError, SQLAlchemyError, OSError) as error:
            if not self._is_away:
                logger.warning("models are left alone until this is over: %s", error)
            self._is_away = True
            return AWAY_SECONDS
        except Exception:
            # Nobody would notice a loop that ended, until a model is asked for.
            logger.exception("a round failed in our own code, the next one follows")
            return self._interval_seconds
        if self._is_away:
            logger.info("models are looked after again")
            self._is_away = False
        return pause

    def _pause(self, look: Look, *, has_moved: bool) -> float:
        self._steps = self._steps + 1 if has_moved else 0
        if 0 < self._steps <= MAX_STEPS_AT_ONCE:
            return 0.0
        now = look.rows.read_at
        return max(0.0, min((self._interval_seconds, *_appointments(look, now))))


def _appointments(look: Look, now: datetime) -> Iterable[float]:
    """In how many seconds something is due that no news tells of."""
    for instance in look.observed.instances:
        if instance.is_loading:
            yield min(max(_age(instance, now) * LOADING_SHARE, SOONEST_SECONDS), LATEST_SECONDS)
        if instance.status == "running" and instance.stop_by is not None and instance.stop_by > now:
            yield (instance.stop_by - now).total_seconds()
    for row in look.rows.desired:
        if row.is_wanted and row.retry_at is not None and row.retry_at > now:
            yield (row.retry_at - now).total_seconds()


def _age(instance: Instance, now: datetime) -> float:
    return (now - (instance.started_at or instance.created_at)).total_seconds()
