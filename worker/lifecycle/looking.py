"""One look at a node: its containers, their runners, the machine, and what the rows say of all that."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from common.catalog.local import LocalModel
from common.fleet.contracts import LABEL_MODEL, Fault, Gpu, Host, Instance, Observed, RunnerHealth
from common.fleet.store import FleetStore, Memory, Snapshot
from worker.lifecycle.container import Container
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import EngineRefused, NoSuchContainer
from worker.lifecycle.fetching import Fetching
from worker.lifecycle.gpus import GpuReader
from worker.lifecycle.host import HostMemory
from worker.lifecycle.observing import base_url_of, fault_of_end, instance_of, is_instance
from worker.lifecycle.planning.plan import living_of
from worker.lifecycle.probing import Prober
from worker.lifecycle.proving import Proving
from worker.lifecycle.template import Site

# Of a container that ended, so many lines may explain why.
LAST_WORDS = 30

NOTHING = Memory()

Entries = Mapping[str, LocalModel]


@dataclass(frozen=True, slots=True)
class Look:
    """What a plan is made of, and where the instances are reached."""

    entries: Entries
    rows: Snapshot
    observed: Observed
    host: Host
    gpus: Sequence[Gpu]
    base_urls: Mapping[str, str]


class Lookout:
    """Belongs to an event loop. What it remembers, a restart may lose: since when a runner has been silent."""

    def __init__(
        self,
        *,
        engine: DockerEngine,
        store: FleetStore,
        prober: Prober,
        fetching: Fetching,
        proving: Proving,
        entries: Callable[[], Entries],
        site: Site,
        memory: HostMemory,
        gpus: GpuReader,
    ) -> None:
        self._engine = engine
        self._store = store
        self._prober = prober
        self._fetching = fetching
        self._proving = proving
        self._entries = entries
        self._site = site
        self._memory = memory
        self._gpus = gpus
        self._silent: dict[str, float] = {}
        self._ends: dict[str, Fault] = {}
        self._others: frozenset[str] = frozenset()

    async def look(self) -> Look:
        """Look at everything, and write down what the instances are. Rows are read last: they may know better.

        Raises:
            EngineError: the engine's; then nothing was written.
        """
        began = time.monotonic()
        entries = self._entries()
        gpus = await self._gpus.read()
        containers = [one for one in await self._engine.ours(str(self._site.installation)) if is_instance(one)]
        base_urls = {one.id: url for one in containers if (url := base_url_of(one, self._site.reach)) is not None}
        seen = await asyncio.gather(*(self._instance(one, entries, base_urls.get(one.id)) for one in containers))
        self._forget({one.id for one in containers})
        self._prober.forget_all_but(set(base_urls.values()))
        # Those of another node that lives and shares this engine are written by that one.
        await self._store.observe([one for one in seen if one.node not in self._others], base_urls)
        rows = await self._store.read(entries)
        self._others = frozenset(peer.name for peer in living_of(rows.peers, rows.read_at))
        self._fetching.forget_all_but({row.model for row in rows.desired if row.is_wanted})
        present = await self._fetching.present(_to_be_made(rows, entries, seen))
        taken_at = rows.read_at - timedelta(seconds=time.monotonic() - began)
        return Look(
            entries=entries,
            rows=rows,
            observed=Observed(
                taken_at=taken_at,
                read_at=rows.read_at,
                instances=tuple(self._remembered(one, rows, taken_at, began) for one in seen),
                present=present,
                pulls=self._fetching.pulls,
            ),
            host=self._memory.host(self._site),
            gpus=gpus,
            base_urls=base_urls,
        )

    async def _instance(self, container: Container, entries: Entries, base_url: str | None) -> Instance:
        health = None if base_url is None else await self._health(container, entries, base_url)
        if container.status == "exited":
            return instance_of(container, fault=await self._end(container))
        return instance_of(container, health=health, fault=self._proving.faults.get(container.id))

    async def _health(self, container: Container, entries: Entries, base_url: str) -> RunnerHealth | None:
        health = await self._prober.health(entries.get(container.labels[LABEL_MODEL]), base_url)
        if health is None:
            self._silent.setdefault(container.id, time.monotonic())
            return None
        self._silent.pop(container.id, None)
        if not health.memory_bytes:  # foreign engines do not say
            taken = await self._engine.memory_bytes(container.id)
            return health.model_copy(update={"memory_bytes": taken or 0})
        return health

    async def _end(self, container: Container) -> Fault:
        """Why it ended: looked up once."""
        if container.id not in self._ends:
            try:
                words = [line async for line in self._engine.logs(container.id, tail=LAST_WORDS)]
            except (NoSuchContainer, EngineRefused):  # removed meanwhile, or half: by an engine that died over it
                words = []
            self._ends[container.id] = fault_of_end(container, words)
        return self._ends[container.id]

    def _remembered(self, instance: Instance, rows: Snapshot, taken_at: datetime, began: float) -> Instance:
        """The instance with what its row and this worker remember of it, in Postgres' time."""
        silent = self._silent.get(instance.container)
        silent_since = None if silent is None else taken_at - timedelta(seconds=max(0.0, began - silent))
        memory = rows.memories.get(instance.container, NOTHING)
        return replace(instance, silent_since=silent_since, **asdict(memory))

    def _forget(self, there: set[str]) -> None:
        self._silent = {container: since for container, since in self._silent.items() if container in there}
        self._ends = {container: fault for container, fault in self._ends.items() if container in there}
        self._proving.forget_all_but(there)


def _to_be_made(rows: Snapshot, entries: Entries, seen: Sequence[Instance]) -> list[LocalModel]:
    """The models that are wanted and have no container: what the others need is not looked for again."""
    made = {instance.model for instance in seen}
    wanted = (row.model for row in rows.desired if row.is_wanted and row.model not in made)
    return [entries[model] for model in wanted if model in entries]
