"""A container, read from what the Docker engine says of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

# What the engine writes where there is no time.
NO_TIME = "0001-01-01T00:00:00Z"
# Of cgroups 1 and 2.
RECLAIMABLE = ("total_inactive_file", "inactive_file")


@dataclass(frozen=True, slots=True)
class Container:
    """A container of whomever. `addresses` are its own, a network; `loopback_ports` those it has on this machine."""

    id: str
    name: str
    labels: Mapping[str, str]
    status: Literal["created", "running", "exited"]
    created_at: datetime
    started_at: datetime | None
    exit_code: int | None
    is_oom_killed: bool
    error: str
    addresses: Mapping[str, str]
    loopback_ports: Mapping[int, int]


def container_of(said: Mapping[str, Any]) -> Container:
    """A container from the engine's ContainerInspect."""
    state, network = said["State"], said["NetworkSettings"]
    status = _status(state)
    return Container(
        id=said["Id"],
        name=said["Name"].removeprefix("/"),
        labels=said["Config"]["Labels"] or {},
        status=status,
        created_at=datetime.fromisoformat(said["Created"]),
        started_at=_time(state["StartedAt"]),
        exit_code=state["ExitCode"] if status == "exited" else None,
        is_oom_killed=state["OOMKilled"],
        error=state["Error"],
        addresses={name: one["IPAddress"] for name, one in (network["Networks"] or {}).items() if one.get("IPAddress")},
        loopback_ports=_ports(network["Ports"] or {}),
    )


def memory_of(said: Mapping[str, Any]) -> int | None:
    """Bytes in use, from the engine's statistics; None for a container that does not run.

    As `docker stats` counts: without file pages that nobody has used for a while.
    """
    memory = said.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    statistics = memory.get("stats") or {}
    reclaimable = next((statistics[name] for name in RECLAIMABLE if name in statistics), 0)
    return max(int(memory["usage"]) - int(reclaimable), 0)


def _status(state: Mapping[str, Any]) -> Literal["created", "running", "exited"]:
    """Docker has seven words. One that restarts is ours no longer to judge: our template never lets one."""
    if state["Status"] in {"running", "paused", "restarting"}:
        return "running"
    # `removing` and `dead` have run, if they ever did; one that could not be started is `created` to Docker
    return "created" if state["Status"] == "created" and not state["Error"] else "exited"


def _time(said: str) -> datetime | None:
    return None if said == NO_TIME else datetime.fromisoformat(said)


def _ports(said: Mapping[str, list[dict[str, str]] | None]) -> dict[int, int]:
    return {
        int(inside.partition("/")[0]): int(bound["HostPort"])
        for inside, bindings in said.items()
        for bound in bindings or []
        if bound["HostIp"] == "127.0.0.1"
    }
