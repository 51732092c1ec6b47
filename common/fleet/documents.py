"""Rows of the fleet into the documents that people see."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from common.catalog.local import LocalModel
from common.contracts.calls import ErrorDetail
from common.contracts.fleet import (
    FleetStatus,
    GpuStatus,
    HostStatus,
    InstanceStatus,
    NodeStatus,
    OperationDocument,
    OperationLinks,
    OperationProgress,
    RegisteredModel,
)
from common.fleet.operations import RUN, STOP

Row = Mapping[str, Any]


def registered(entry: LocalModel, aliases: Sequence[str], row: Row | None) -> RegisteredModel:
    """A model of the registry; `row`, of `wishes.look`, is None if nobody ever asked for it.

    What its environment holds is nobody's business: keys among it.
    """
    return RegisteredModel(
        model_id=entry.id,
        aliases=list(aliases),
        description=entry.description,
        source=entry.source.model_dump(exclude_none=True),
        engine=entry.engine,
        context_window=entry.context_window,
        capabilities=list(entry.capabilities),
        slots=entry.slots,
        memory_bytes=entry.memory,
        gpu=entry.gpu,
        ttl_seconds=entry.ttl,
        pinned=entry.pinned,
        state="stopped" if row is None else row["state"],
        reason=None if row is None else row["reason"],
    )


def status(
    entries: Sequence[LocalModel], rows: Sequence[Row], nodes: Sequence[Row], gpus: Sequence[Row]
) -> FleetStatus:
    """The fleet: the models of the registry, and those that left it while they ran."""
    by_id = {row["id"]: row for row in rows}
    here = [instance(entry.id, by_id.pop(entry.id, None)) for entry in entries]
    gone = [instance(model, row) for model, row in by_id.items() if row["state"] != "stopped"]
    machines = [_node(row) for row in nodes]
    living = [one for one in machines if one.is_live]
    return FleetStatus(
        models=here + gone,
        gpus=[_gpu(row) for row in gpus],
        host=HostStatus(
            nodes=machines,
            limit_bytes=sum(one.limit_bytes for one in living),
            free_bytes=sum(one.free_bytes for one in living),
        ),
    )


def instance(model: str, row: Row | None) -> InstanceStatus:
    """A model and its container, from a row of `wishes.look`."""
    row = row or _NEVER_ASKED_FOR
    health = row["health"] or {}
    return InstanceStatus(
        model_id=model,
        desired="running" if row["is_wanted"] else "stopped",
        state=row["state"],
        reason=row["reason"],
        progress=row["progress"],
        endpoint=row["base_url"] if row["is_ready"] else None,
        node=row["node"],
        gpu=list(row["gpu_uuids"] or ()),
        memory_bytes=health.get("memory_bytes"),
        gpu_memory_bytes=health.get("gpu_memory_bytes"),
        in_flight=health.get("in_flight"),
        waiting=health.get("waiting"),
        idle_seconds=health.get("idle_seconds"),
        restarts=row["restarts"],
        last_error=_error(row["fault"]),
        started_at=_iso(row["started_at"]),
        seen_at=_iso(row["seen_at"]),
    )


def is_operation(row: Row) -> bool:
    """Whether this job is an operation on a model."""
    return row["kind"] in {RUN, STOP}


def operation(row: Row, standing: Row | None = None) -> OperationDocument:
    """An operation, from its job's row; `standing`, of `wishes.look`, says where its model is meanwhile."""
    progress = None
    if row["finished_at"] is None and standing is not None:
        progress = OperationProgress(phase=standing["state"], reason=standing["reason"], details=standing["progress"])
    return OperationDocument(
        operation_id=str(row["id"]),
        kind="run" if row["kind"] == RUN else "stop",
        model_id=row["request"]["model_id"],
        status=row["status"],
        created_at=row["created_at"].isoformat(),
        started_at=_iso(row["started_at"]),
        finished_at=_iso(row["finished_at"]),
        progress=progress,
        result=row["result"],
        error=row["error"],
        links=operation_links(str(row["id"])),
    )


def operation_links(operation_id: str) -> OperationLinks:
    path = f"/operations/{operation_id}"
    return OperationLinks(self=path, events=f"{path}/events")


_NEVER_ASKED_FOR: Row = {
    "is_wanted": False, "state": "stopped", "reason": None, "progress": None, "base_url": None, "is_ready": False,
    "node": None, "gpu_uuids": None, "health": None, "restarts": 0, "fault": None, "started_at": None, "seen_at": None,
}  # fmt: skip


def _node(row: Row) -> NodeStatus:
    return NodeStatus(
        node=row["name"],
        is_live=row["is_live"],
        limit_bytes=row["limit_bytes"],
        free_bytes=row["free_bytes"],
        available_bytes=row["available_bytes"],
        seen_at=row["seen_at"].isoformat(),
    )


def _gpu(row: Row) -> GpuStatus:
    shown = {name: row[name] for name in GpuStatus.model_fields if name != "seen_at"}
    return GpuStatus(**shown, seen_at=row["seen_at"].isoformat())


def _error(fault: Mapping[str, Any] | None) -> ErrorDetail | None:
    return None if fault is None else ErrorDetail(code=fault["code"], message=fault["message"])


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
