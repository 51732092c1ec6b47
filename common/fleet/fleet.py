"""Where a model in a container answers: at once while it runs, else once it was asked for and has started.

The row of a model is the single flight over all processes, and in each of them one look at the rows serves all who
wait. What is known of a ready model may be some seconds old: an instance that has begun to leave says so itself,
before it generates anything (`lost`), and who was told so asks again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from common.catalog.local import LocalModel
from common.ending import end
from common.errors import DependencyDown, NotStarted
from common.fleet.contracts import Endpoint, State
from common.fleet.doubts import Doubts
from common.fleet.rows import Rows
from common.fleet.standing import Standing
from common.fleet.watch import Told, Watch
from common.fleet.wishes import NOBODY

# What is older is looked up again, while those who ask are still served by it.
FRESH_SECONDS = 1.0
# What is older serves nobody.
STALE_SECONDS = 10.0
# While somebody waits: a start is noticed within this.
LOOK_SECONDS = 0.2
# A lifecycle worker that is being replaced is back by then.
NOBODY_SECONDS = 10.0
NODES_SECONDS = 2.0

AWAY = (DependencyDown, SQLAlchemyError, OSError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    endpoint: Endpoint
    at: float


def _to_nobody(_: Standing) -> None: ...


def _ring_nobody(_: str) -> None: ...


def _count_nothing(_: float) -> None: ...


class Fleet:
    """The fleet as one process sees it. Belongs to one event loop; asks Postgres nothing until it is asked.

    `ring` wakes whoever starts models; that a wish is written is enough, it only takes longer. `waited` hears of each
    wait for a model that was not ready, when it is over: how many seconds, however it ended.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        ring: Callable[[str], None] = _ring_nobody,
        waited: Callable[[float], None] = _count_nothing,
        look_seconds: float = LOOK_SECONDS,
        nobody_seconds: float = NOBODY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._ring = ring
        self._waited = waited
        self._look_seconds = look_seconds
        self._nobody_seconds = nobody_seconds
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._doubts = Doubts()
        self._watches: dict[str, Watch] = {}
        self._aging: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_asked = asyncio.Event()
        self._worker_checked_at: float | None = None
        self._worker_missed_at: float | None = None

    def endpoint(self, model: str) -> Endpoint | None:
        """Where it answers, if that is known without waiting."""
        known = self._known.get(model)
        if known is None:
            return None
        age = self._clock() - known.at
        if age >= STALE_SECONDS:
            return None
        if age >= FRESH_SECONDS and model not in self._aging:
            self._aging.add(model)
            self._look_soon()
        return known.endpoint

    async def ready(self, entry: LocalModel, *, told: Told = _to_nobody) -> Endpoint:
        """Where it answers. Starts it if need be, and waits as long as its entry gives a start.

        It goes on starting when whoever asked goes away. `told` hears of every change meanwhile, and must not raise.

        Raises:
            NotStarted: it failed, was refused or stopped, or took too long; says why.
        """
        if (known := self.endpoint(entry.id)) is not None:
            return known
        began = self._clock()
        watch = self._watches.get(entry.id)
        if watch is None:
            watch = self._watches[entry.id] = Watch(entry.id, began)
            self._look_soon()
        try:
            with watch.joined(told):
                async with asyncio.timeout(entry.load_seconds):
                    return await watch.outcome()
        except TimeoutError:
            raise watch.late(entry.load_seconds) from None
        finally:
            if watch.has_told:
                self._waited(self._clock() - began)
            if watch.is_left:
                self._close(watch)

    def lost(self, model: str, endpoint: Endpoint) -> None:
        """What was asked there found nobody, or somebody about to leave.

        It is not asked again before its node has looked at it, unless another instance has taken its place.
        """
        known = self._known.get(model)
        if known is not None and known.endpoint.generation > endpoint.generation:
            return
        self._known.pop(model, None)
        self._doubts.begin(model, endpoint.generation)

    async def close(self) -> None:
        """Stop looking; whoever still waits is told so."""
        if self._looking is not None:
            await end([self._looking])
        for watch in self._watches.values():
            watch.refuse(NotStarted("This process is stopping."))

    def _close(self, watch: Watch) -> None:
        if self._watches.get(watch.model) is watch:
            del self._watches[watch.model]

    def _look_soon(self) -> None:
        self._is_asked.set()
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        """Look at what is asked about, as long as anything is."""
        try:
            while self._watches or self._aging:
                self._is_asked.clear()
                watches, aging = dict(self._watches), set(self._aging)
                try:
                    await self._look(watches, aging)
                except AWAY as error:
                    self._make_do(watches, error)
                except Exception as error:
                    logger.exception("the fleet's rows cannot be read")
                    for watch in watches.values():
                        self._refuse(watch, NotStarted(f"Its row cannot be read: {type(error).__name__}."))
                finally:
                    self._aging -= aging
                if self._watches:
                    await self._pause()
        finally:
            self._looking = None

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._look_seconds):
                await self._is_asked.wait()
        except TimeoutError:
            return

    async def _look(self, watches: dict[str, Watch], aging: set[str]) -> None:
        asked_at = self._clock()
        standings = await self._rows.look(watches.keys() | aging)
        for model in watches.keys() | aging:
            standing = standings.get(model)
            endpoint = None if standing is None else self._doubts.believed(standing)
            if endpoint is None:
                self._known.pop(model, None)
            else:
                self._known[model] = _Known(endpoint, asked_at)
        waiting = []
        for watch in watches.values():
            if (known := self._known.get(watch.model)) is not None:
                watch.answer(known.endpoint)
                self._close(watch)
            else:
                waiting.append(watch)
        for watch in waiting:
            await self._go_on(watch, standings.get(watch.model))

    async def _go_on(self, watch: Watch, standing: Standing | None) -> None:
        """One that is not ready: ask for it, say why it will not be, or tell how it stands."""
        if watch.wanted_at is None:
            watch.wanted_at = await self._rows.want(watch.model)
            self._ring(watch.model)
            if standing is None or standing.state is State.STOPPED:
                standing = Standing(watch.model, State.QUEUED, is_wanted=True)
            watch.tell(standing)
        elif standing is not None:
            if (fault := standing.answer_to(watch.wanted_at)) is not None:
                self._refuse(watch, NotStarted(f"{watch.model} did not start: {fault.message}"))
                return
            watch.tell(standing)
        if await self._is_nobody_there(watch):
            self._refuse(watch, NotStarted(f"{watch.model} did not start: {NOBODY}."))

    async def _is_nobody_there(self, watch: Watch) -> bool:
        now = self._clock()
        if self._worker_checked_at is None or now - self._worker_checked_at >= NODES_SECONDS:
            nodes = await self._rows.nodes()
            self._worker_checked_at = now
            self._worker_missed_at = None if nodes else self._worker_missed_at or now
        missed_at = self._worker_missed_at
        return missed_at is not None and now - max(missed_at, watch.begun_at) >= self._nobody_seconds

    def _make_do(self, watches: dict[str, Watch], error: Exception) -> None:
        """Postgres is away: what was known last is better than nothing, and an instance that left will say so."""
        logger.warning("the fleet's rows are not read, Postgres is away: %s", error)
        for watch in watches.values():
            if (known := self._known.get(watch.model)) is not None:
                watch.answer(known.endpoint)
                self._close(watch)

    def _refuse(self, watch: Watch, error: NotStarted) -> None:
        watch.refuse(error)
        self._close(watch)
