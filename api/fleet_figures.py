"""What models, machines and GPUs take of memory, for Prometheus: from the rows that lifecycle workers write."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FleetRows:
    """The rows as they are now: of `common.fleet.inventory`, and of `wishes.look`."""

    nodes: Iterable[Row] = ()
    gpus: Iterable[Row] = ()
    models: Iterable[Row] = ()


def families(rows: FleetRows) -> Iterator[Metric]:
    """The figures. Of a node that nobody hears of any more, only that it is down: what it said is no longer so."""
    live = {node["name"] for node in rows.nodes if node["is_live"]}
    yield _gauge(
        "ultra_node_up",
        "1 while the node's lifecycle worker is heard of.",
        ("node",),
        (((node["name"],), node["is_live"]) for node in rows.nodes),
    )
    yield _gauge(
        "ultra_node_memory_bytes",
        "Of the host: what models may take together (limit), what of it one more could get now (free), and what the "
        "system could hand out (available).",
        ("node", "of"),
        (
            ((node["name"], of), node[f"{of}_bytes"])
            for node in rows.nodes
            for of in ("limit", "free", "available")
            if node["name"] in live
        ),
    )
    gpus = [gpu for gpu in rows.gpus if gpu["node"] in live]
    yield _gauge(
        "ultra_gpu_memory_bytes",
        "All of it (total), what is in use by whomever (used), and what one more model could get now (free).",
        ("node", "gpu", "uuid", "of"),
        (((*_names(gpu), of), gpu[f"{of}_bytes"]) for gpu in gpus for of in ("total", "used", "free")),
    )
    yield _gauge(
        "ultra_gpu_utilisation",
        "Share of the last moments in which the GPU computed, 0 to 1. Parts of a divided GPU do not tell.",
        ("node", "gpu", "uuid"),
        ((_names(gpu), gpu["utilisation"]) for gpu in gpus),
    )
    instances = [row for row in rows.models if row["container"] is not None and row["node"] in live]
    yield _gauge(
        "ultra_model_memory_bytes",
        "Of a model's instance, on the host and on each of its GPUs: what it was given, and what it was seen to take.",
        ("model", "node", "where", "of"),
        _memory(instances),
    )
    yield _gauge(
        "ultra_model_calls",
        "Calls at a model's instance: those it works on, and those that wait in its own line.",
        ("model", "node", "status"),
        (
            ((row["id"], row["node"], status), (row["health"] or {}).get(field))
            for row in instances
            for status, field in (("running", "in_flight"), ("waiting", "waiting"))
        ),
    )
    restarts = CounterMetricFamily("ultra_model_restarts", "Starts after a failure.", labels=("model",))
    for row in rows.models:
        restarts.add_metric((row["id"],), row["restarts"])
    yield restarts


def _memory(instances: Iterable[Row]) -> Iterator[tuple[tuple[str, ...], float | None]]:
    for row in instances:
        model, node, health = row["id"], row["node"], row["health"] or {}
        yield (model, node, "host", "given"), row["host_bytes"]
        yield (model, node, "host", "seen"), health.get("memory_bytes")
        if row["gpu_uuids"]:
            seen = health.get("gpu_memory_bytes")
            yield (model, node, "gpu", "given"), row["gpu_bytes"]
            yield (model, node, "gpu", "seen"), None if seen is None else seen / len(row["gpu_uuids"])


def _names(gpu: Row) -> tuple[str, ...]:
    return gpu["node"], str(gpu["index"]), gpu["uuid"]


def _gauge(
    name: str, meaning: str, labels: tuple[str, ...], figures: Iterable[tuple[tuple[str, ...], float | None]]
) -> Metric:
    """A gauge; what is not known is left out, never 0."""
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, figure in figures:
        if figure is not None:
            family.add_metric(values, figure)
    return family
