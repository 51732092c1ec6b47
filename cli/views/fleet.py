"""Models in containers, for reading."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.printable import printable
from cli.transcript import Waiting
from common.contracts.fleet import FleetStatus, InstanceStatus

MIB = 1 << 20


def fleet_table(status: FleetStatus) -> Table:
    """A line a model: how it stands, what it takes, what it does."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    # an id that is broken over lines cannot be copied
    table.add_column("model", no_wrap=True)
    table.add_column("state")
    table.add_column("node")
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("calls", justify="right", no_wrap=True)
    table.add_column("idle", justify="right", no_wrap=True)
    for model in status.models:
        memory = model.gpu_memory_bytes or model.memory_bytes
        table.add_row(
            model.model_id,
            Text(_state(model), style="" if model.state == "ready" else "dim"),
            model.node or "-",
            f"{memory / MIB:,.0f} MiB" if memory else "-",
            "-" if model.in_flight is None else f"{model.in_flight} + {model.waiting or 0}",
            "-" if model.idle_seconds is None else f"{model.idle_seconds:,.0f} s",
        )
    return table


def standing(operation: dict[str, Any]) -> str:
    """Where an operation is, in a line."""
    progress = operation["progress"] or {"phase": operation["status"], "reason": None, "details": None}
    reason = progress["reason"] and printable(progress["reason"])
    return _standing(operation["model_id"], progress["phase"], reason, progress["details"])


def waited_for(waiting: Waiting) -> str:
    """What a call waits for, in a line."""
    return _standing(waiting.model, waiting.state, waiting.reason, waiting.progress)


def _standing(model: str, phase: str, reason: str | None, details: Mapping[str, Any] | None) -> str:
    line, pulled = f"{model}: {phase}", details or {}
    if pulled.get("total_bytes"):
        line += f" {pulled.get('done_bytes', 0) / MIB:,.0f} of {pulled['total_bytes'] / MIB:,.0f} MiB"
    return f"{line}: {reason}" if reason else line


def _state(model: InstanceStatus) -> str:
    why = model.last_error.message if model.state == "failed" and model.last_error else model.reason
    return f"{model.state}: {printable(why)}" if why else model.state
