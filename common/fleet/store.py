"""What a lifecycle worker reads and writes. Every write that decides something compares before it sets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from common.catalog.local import LocalModel
from common.database.bounded import bounded
from common.fleet import statements as sql
from common.fleet.contracts import Desired, Fault, Gpu, GpuRoom, Host, Instance, Node, State
from common.ids import uuid7


@dataclass(frozen=True, slots=True)
class Memory:
    """What Docker cannot remember of a container."""

    proved_at: datetime | None = None
    stop_reason: str | None = None
    stop_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet as the tables have it. `read_at` is Postgres' clock: the `now` of a plan."""

    read_at: datetime
    desired: tuple[Desired, ...]
    peers: tuple[Node, ...]
    memories: Mapping[str, Memory]


class FleetStore:
    """The tables, for one node's lifecycle worker."""

    def __init__(self, engine: AsyncEngine, node: str) -> None:
        self._engine = engine
        self._node = node

    async def installation(self) -> UUID:
        """The id of this installation: made by whoever asks first, the same for ever after."""
        return UUID(str((await self._rows(sql.INSTALLATION))[0]["id"]))

    async def read(self, entries: Mapping[str, LocalModel]) -> Snapshot:
        """Every model that was ever asked for, the other nodes, and what is remembered of containers."""
        return await bounded(self._read(entries))

    async def _read(self, entries: Mapping[str, LocalModel]) -> Snapshot:
        async with self._engine.connect() as connection:
            read_at = (await connection.execute(sql.NOW)).scalar_one()
            models = (await connection.execute(sql.MODELS)).mappings().all()
            peers = (await connection.execute(sql.PEERS.bindparams(node=self._node))).mappings().all()
            memories = (await connection.execute(sql.MEMORIES)).mappings().all()
        return Snapshot(
            read_at=read_at,
            desired=tuple(desired_of(row, entries.get(row["id"])) for row in models),
            peers=tuple(_node_of(row) for row in peers),
            memories={
                row["container"]: Memory(row["proved_at"], row["stop_reason"], row["stop_by"]) for row in memories
            },
        )

    async def claim(self, model: str) -> bool:
        """Whether the model is this node's now: it is if it was nobody's."""
        return await self._happened(sql.CLAIM.bindparams(model=model, node=self._node))

    async def release(self, model: str, node: str) -> bool:
        """Leave the model to whoever takes it, if it is still that node's."""
        return await self._happened(sql.RELEASE.bindparams(model=model, node=node))

    async def raise_generation(self, model: str, generation: int) -> bool:
        """Whether a container of this generation may be made: if the model is ours, and the last one was before it."""
        return await self._happened(sql.RAISE.bindparams(model=model, generation=generation, node=self._node))

    async def retire(self, model: str, wanted_at: datetime | None, reason: str) -> bool:
        """Whether it may stop: not if somebody has asked for it since `wanted_at`."""
        return await self._happened(
            sql.RETIRE.bindparams(model=model, wanted_at=wanted_at, reason=reason, node=self._node)
        )

    async def retire_all(self, reason: str, drain_seconds: float) -> None:
        """Have all of this node's models stop, whoever asked for them, within so many seconds."""
        await self._run(sql.RETIRE_ALL.bindparams(node=self._node, reason=reason, drain_seconds=drain_seconds))

    async def show(self, model: str, state: State, reason: str | None) -> bool:
        """Write state and reason. `ready` forgets the queue, `stopped` the claim; False if it is another node's."""
        return await self._happened(sql.SHOW.bindparams(model=model, state=state, reason=reason, node=self._node))

    async def show_progress(self, model: str, progress: Mapping[str, Any]) -> bool:
        """How far a pull is: `{phase, done_bytes, total_bytes}`. For people only."""
        return await self._happened(sql.PROGRESS.bindparams(model=model, progress=progress, node=self._node))

    async def recovered(self, model: str) -> bool:
        """It has been well for long enough: the next failure is a first one."""
        return await self._happened(sql.RECOVERED.bindparams(model=model, node=self._node))

    async def fail(
        self,
        model: str,
        fault: Fault,
        *,
        generation: int | None,
        spec: str | None,
        state: State,
        failures: int,
        retry_at: datetime | None,
    ) -> bool:
        """Count a failure; False where that of this generation was counted already."""
        return await self._happened(
            sql.FAIL.bindparams(
                model=model, fault=asdict(fault), generation=generation, spec=spec, state=state, failures=failures,
                retry_at=retry_at, reason=fault.message, node=self._node,
            )
        )  # fmt: skip

    async def refuse(self, model: str, fault: Fault, wanted_at: datetime | None) -> bool:
        """Tell those who asked until `wanted_at` that it will not start; False if somebody asked since."""
        return await self._happened(
            sql.REFUSE.bindparams(
                model=model, fault=asdict(fault), reason=fault.message, wanted_at=wanted_at, node=self._node
            )
        )

    async def remember_peak(self, model: str, seen_bytes: int) -> bool:
        """The most that an instance of it was seen to take of its GPUs, if this is more."""
        return await self._happened(sql.PEAK.bindparams(model=model, seen_bytes=seen_bytes, node=self._node))

    async def observe(self, instances: Sequence[Instance], base_urls: Mapping[str, str]) -> None:
        """Write down what this node's containers are now; rows of containers that are gone go too."""
        rows = [_instance_row(one, base_urls.get(one.container)) for one in instances]
        await self._run(sql.OBSERVE.bindparams(node=self._node, rows=rows, seen=[one.container for one in instances]))

    async def proved(self, container: str) -> bool:
        """It generated its first token for us."""
        return await self._happened(sql.PROVED.bindparams(container=container))

    async def stopping(self, container: str, reason: str, stop_by: datetime) -> bool:
        """Before it is told to stop: so its end will be no crash, whoever is there to see it."""
        return await self._happened(sql.STOPPING.bindparams(container=container, reason=reason, stop_by=stop_by))

    async def forget(self, container: str) -> None:
        """The container was removed."""
        await self._run(sql.FORGET.bindparams(container=container))

    async def report(self, host: Host, gpus: Sequence[Gpu], account: Node) -> None:
        """That this node lives, and what it has (`planning.account`). A GPU that is gone loses its row."""
        rows = [asdict(gpu) | asdict(room) for gpu, room in zip(gpus, account.gpus, strict=True)]
        await self._run(
            sql.REPORT.bindparams(
                node=host.node,
                limit_bytes=host.limit_bytes,
                capacity_bytes=account.capacity_bytes,
                free_bytes=account.free_bytes,
                available_bytes=host.available_bytes,
                rows=rows,
                uuids=[gpu.uuid for gpu in gpus],
            )
        )

    async def note(
        self, model: str, kind: str, *, generation: int | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Add to the model's history."""
        await self._run(
            sql.NOTE.bindparams(
                id=uuid7(), model=model, node=self._node, generation=generation, kind=kind, detail=detail
            )
        )

    async def _happened(self, statement: TextClause) -> bool:
        return bool(await self._rows(statement))

    async def _rows(self, statement: TextClause) -> Sequence[RowMapping]:
        return await bounded(self._fetch(statement))

    async def _run(self, statement: TextClause) -> None:
        await bounded(self._fetch(statement))

    async def _fetch(self, statement: TextClause) -> Sequence[RowMapping]:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return result.mappings().all() if result.returns_rows else []


def desired_of(row: RowMapping, entry: LocalModel | None) -> Desired:
    """A model's row and its entry in the catalog, as a plan takes them."""
    said = {} if entry is None else _said_by(entry)
    if row["drain_seconds"] is not None:
        said["drain_seconds"] = row["drain_seconds"]
    return Desired(
        model=row["id"],
        spec=None if entry is None else entry.spec_hash,
        state=State(row["state"]),
        fault=None if row["fault"] is None else Fault(**row["fault"]),
        **{name: row[name] for name in _REMEMBERED},
        **said,
    )


_REMEMBERED = (
    "is_wanted", "wanted_at", "queued_at", "is_forced", "node", "generation", "reason", "failures", "failed_at",
    "failed_generation", "failed_spec", "retry_at", "seen_bytes",
)  # fmt: skip


def _said_by(entry: LocalModel) -> dict[str, Any]:
    return {
        "memory_bytes": entry.memory,
        "host_memory_bytes": min(entry.memory, entry.host_memory),
        "gpu": entry.gpu,
        "ttl_seconds": entry.ttl,
        "is_pinned": entry.pinned,
        "load_seconds": entry.load_seconds,
        "drain_seconds": entry.drain_seconds,
    }


def _node_of(row: RowMapping) -> Node:
    gpus = tuple(GpuRoom(capacity, free) for capacity, free in row["gpus"])
    return Node(row["name"], row["seen_at"], row["capacity_bytes"], row["free_bytes"], gpus)


def _instance_row(instance: Instance, base_url: str | None) -> dict[str, Any]:
    return {
        "container": instance.container,
        "model": instance.model,
        "generation": instance.generation,
        "node": instance.node,
        "base_url": base_url,
        "status": instance.status,
        "gpu_uuids": instance.reserved.gpu_uuids,
        "host_bytes": instance.reserved.host_bytes,
        "gpu_bytes": instance.reserved.gpu_bytes,
        "health": None if instance.health is None else instance.health.model_dump(),
        "started_at": instance.started_at,
    }
