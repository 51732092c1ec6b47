"""An OpenTelemetry collector: takes OTLP over HTTP as protobuf, and keeps what it was told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer"}
ERROR = 2


@dataclass(frozen=True)
class Span:
    """A span as it was told."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    seconds: float
    is_error: bool
    attributes: dict[str, Any]
    service: str


@dataclass(frozen=True)
class Measured:
    """One point of a histogram: how often, how much in all, and of what."""

    count: int
    total: float
    attributes: dict[str, Any]


@dataclass
class Collector:
    """`raw` is everything that came, as bytes."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    metrics: dict[str, list[Measured]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: bytes = b""

    def of_kind(self, kind: str) -> list[Span]:
        return [span for span in self.spans if span.kind == kind]

    def take_spans(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_span(span, service) for span in scope.spans]

    def take_metrics(self, body: bytes) -> None:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = metric.histogram.data_points
                    told = [Measured(point.count, point.sum, _attributes(point.attributes)) for point in points]
                    self.metrics.setdefault(metric.name, []).extend(told)


def _span(span: Any, service: str) -> Span:
    return Span(
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        span.status.code == ERROR,
        _attributes(span.attributes),
        service,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens on a free port of loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.raw += body
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            {"/v1/traces": collector.take_spans, "/v1/metrics": collector.take_metrics}[self.path](body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  # the base class's name

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
