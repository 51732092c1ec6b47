"""What this process counts, for Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from api.events.hub import Hub
from common.reloading import Reloaded

# Polls take about a millisecond, group commits a few, `Prefer: wait` minutes.
BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
# A small model starts in a second or two; an entry gives a start ten minutes if it says nothing else.
STARTS_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


class Metrics:
    """The process's own figures. One instance a process, with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Histogram(
            "ultra_http_request_seconds",
            "Requests by route, method and status: how many, and how long from first byte in to last byte out.",
            ("route", "method", "status"),
            buckets=BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._series: dict[tuple[str, str, int], Histogram] = {}
        self.submissions = Counter(
            "ultra_submissions", "Jobs accepted: committed, and answered 202.", registry=self.registry
        )
        self._watchers = Gauge("ultra_watchers", "Open streams and waiting requests.", registry=self.registry)
        self._watched_jobs = Gauge("ultra_watched_jobs", "Jobs that somebody watches.", registry=self.registry)

        self.model_waits = Histogram(
            "ultra_gateway_model_wait_seconds",
            "Requests that had to wait for their model to start: how many, and how long, whether it started or not.",
            buckets=STARTS_SECONDS,
            registry=self.registry,
        )
        self._config_broken = Gauge(
            "ultra_config_broken",
            "1 while the file's last edit is wrong and the one before it is in force.",
            ("file",),
            registry=self.registry,
        )

    def watch(self, hub: Hub) -> None:
        """Show what this hub serves."""
        self._watchers.set_function(lambda: hub.reader_count)
        self._watched_jobs.set_function(lambda: hub.job_count)

    def watch_files(self, *files: Reloaded[Any]) -> None:
        """Show whether what these say now is in force."""
        for one in files:
            self._config_broken.labels(str(one.file)).set_function(one.is_broken)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. Its labels are looked up once: that is most of what counting costs."""
        name = (route, method, status)
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = self._requests.labels(route, method, str(status))
        series.observe(seconds)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
