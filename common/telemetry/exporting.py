"""OpenTelemetry's SDK, set up: spans and metrics go to the collector in batches, from threads of their own.

Whatever becomes of the collector, requests go on as ever: 2,048 spans wait for it, older ones are dropped, and the log
says so now and then. Other variables of the SDK hold too (OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, OTEL_BSP_…).
"""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.util.re import parse_env_headers
from opentelemetry.util.types import Attributes

from common.settings import Settings

SCOPE = "ultrallm"
# A stopping process has better things to do than to wait for a collector.
CLOSE_SECONDS = 2.0
COMPLAINT_SECONDS = 60.0


class Exporting:
    """The tracer and the meter of one process. Connects to nothing until there is something to send."""

    def __init__(self, settings: Settings, service: str) -> None:
        endpoint, secret = settings.otel_exporter_otlp_endpoint, settings.otel_exporter_otlp_headers
        headers = parse_env_headers(secret.get_secret_value(), liberal=True) if secret else None
        resource = _resource(service)
        self._ids = Ids()
        self._tracers = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._tracers.sampler = self._sampler = EvenSampler(self._tracers.sampler)
        spans = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=headers)
        self._tracers.add_span_processor(BatchSpanProcessor(spans))
        metrics = OTLPMetricExporter(f"{endpoint}/v1/metrics", headers=headers)
        self._meters = MeterProvider([PeriodicExportingMetricReader(metrics)], resource, shutdown_on_exit=False)
        self.tracer = self._tracers.get_tracer(SCOPE)
        self.meter = self._meters.get_meter(SCOPE)
        self._complaints = {logging.getLogger(type(exporter).__module__): Seldom() for exporter in (spans, metrics)}
        for logger, seldom in self._complaints.items():
            logger.addFilter(seldom)

    def context_of(self, trace_id: int, span_id: int) -> SpanContext:
        """That of a span of another process, as this one would have sampled it."""
        is_sampled = self._sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE
        return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(is_sampled))

    def root(self, context: SpanContext, name: str, attributes: Attributes, start_time: int) -> Span:
        """A span without a parent, and with the ids of this context."""
        given = self._ids.given.set(context)
        try:
            return self.tracer.start_span(name, Context(), attributes=attributes, start_time=start_time)
        finally:
            self._ids.given.reset(given)

    async def close(self) -> None:
        """Send what waits, for CLOSE_SECONDS at most."""
        thread = threading.Thread(target=self._shut_down, name="telemetry-close", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, CLOSE_SECONDS)
        for logger, seldom in self._complaints.items():
            logger.removeFilter(seldom)

    def _shut_down(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()


class Ids(RandomIdGenerator):
    """Random ids, unless a span is to have those that are `given`."""

    def __init__(self) -> None:
        self.given: ContextVar[SpanContext | None] = ContextVar("given", default=None)

    def generate_trace_id(self) -> int:
        """See `IdGenerator.generate_trace_id`."""
        given = self.given.get()
        return super().generate_trace_id() if given is None else given.trace_id

    def generate_span_id(self) -> int:
        """See `IdGenerator.generate_span_id`."""
        given = self.given.get()
        return super().generate_span_id() if given is None else given.span_id


class EvenSampler(Sampler):
    """Another sampler, which is shown ids whose low 64 bits are random throughout.

    Those that sample a share of all traces go by these bits. A job's trace has the id of the job, a UUID, where the two
    highest of them are always 10: of such ids a tenth would be none, and six tenths all.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See `Sampler.should_sample`."""
        return self._sampler.should_sample(parent_context, trace_id << 2, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """See `Sampler.get_description`."""
        return self._sampler.get_description()


class Seldom(logging.Filter):
    """Lets a line through every COMPLAINT_SECONDS: the SDK complains about each batch, several times."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        """See `logging.Filter.filter`."""
        now = time.monotonic()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + COMPLAINT_SECONDS
        return True


def _resource(service: str) -> Resource:
    ours: dict[str, str] = {
        "service.namespace": "ultrallm",
        "service.name": f"ultrallm-{service}",
        "service.version": version("ultrallm"),
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})
