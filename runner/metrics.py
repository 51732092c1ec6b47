"""`GET /metrics`: what Prometheus may read of this instance."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from runner.contracts import Usage

CONTENT_TYPE = CONTENT_TYPE_LATEST
# From a small model's one token on a GPU to a long answer on a busy processor.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
GAUGES = {
    "in_flight": "Calls that have a slot",
    "waiting": "Calls that wait for a slot",
    "memory_bytes": "Resident memory of the instance's processes",
    "gpu_memory_bytes": "GPU memory the engine holds",
    "load_seconds": "From the start to the first token",
}


class Metrics:
    """Of one process, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "ultra_runner_calls", "Calls by path and status", ("path", "status"), registry=self._registry
        )
        self._tokens = Counter("ultra_runner_tokens", "Tokens by kind", ("kind",), registry=self._registry)
        self._waited = self._histogram("wait_seconds", "How long calls waited for a slot")
        self._first = self._histogram("first_token_seconds", "From the slot to the first piece of the answer")
        self._ready = Gauge("ultra_runner_ready", "1 while calls are taken", registry=self._registry)
        self._gauges = {
            name: Gauge(f"ultra_runner_{name}", help_, registry=self._registry) for name, help_ in GAUGES.items()
        }

    def called(self, path: str, status: int) -> None:
        """A call to one of our paths was answered, or broke off."""
        self._calls.labels(path, status).inc()

    def waited(self, seconds: float) -> None:
        """A call got its slot."""
        self._waited.observe(seconds)

    def first_piece(self, seconds: float) -> None:
        """An answer began."""
        self._first.observe(seconds)

    def used(self, usage: Usage) -> None:
        """An answer ended, having used this."""
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("completion").inc(usage.completion_tokens)

    def text(self, health: Mapping[str, Any]) -> bytes:
        """Prometheus' text format, with the gauges as `/health` has them."""
        self._ready.set(health["status"] == "ready")
        for name, gauge in self._gauges.items():
            gauge.set(health[name] or 0)
        return generate_latest(self._registry)

    def _histogram(self, name: str, help_: str) -> Histogram:
        return Histogram(f"ultra_runner_{name}", help_, buckets=SECONDS, registry=self._registry)
