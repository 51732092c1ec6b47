"""What is told as spans and metrics, by OpenTelemetry's semantic conventions for generative AI.

A job's trace has the id of the job, and its root span one that follows from it: API and workers agree on both without
telling each other, and the root can be sent last, by whoever ends the job.
"""

import hashlib
import time
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan as Remote
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage
from common.contracts.jobs import JobStatus
from common.telemetry.exporting import Exporting
from common.telemetry.port import OfCall, Operation, RawHeaders

# Providers that OpenTelemetry calls otherwise; the rest go by our own names.
PROVIDERS = {"google": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai", "moonshot": "moonshot_ai"}
# The boundaries of buckets that the conventions ask for.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
JOB_SECONDS = (*SECONDS, 163.84, 327.68, 655.36)
TOKENS = tuple(4**power for power in range(14))
NANOSECONDS = 1_000_000_000
CLIENT_GONE = "client_gone"

# The client's request that this task serves.
_serving: ContextVar[Context | None] = ContextVar("_serving", default=None)


class Traced:
    """See `Telemetry`."""

    def __init__(self, exporting: Exporting, *, use_mock: bool) -> None:
        self._exporting = exporting
        self._use_mock = use_mock
        self._propagator = TraceContextTextMapPropagator()
        self._meters = Meters(exporting)

    def client_request(self, method: str, request_id: str, headers: RawHeaders) -> "TracedClientRequest":
        """See `Telemetry.client_request`."""
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(b"trace")}
        parent = self._propagator.extract(told, Context())
        attributes = {"http.request.method": method, "ultra.request_id": request_id}
        span = self._exporting.tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        _serving.set(set_span_in_context(span, Context()))
        return TracedClientRequest(span, method)

    def upstream_request(
        self, operation: Operation, entry: ModelEntry, *, is_streamed: bool, of_call: OfCall | None = None
    ) -> "TracedUpstreamRequest":
        """See `Telemetry.upstream_request`."""
        asked = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "mock" if self._use_mock else PROVIDERS.get(entry.provider, entry.provider),
            "gen_ai.request.model": entry.name,
        }
        attributes: dict[str, Any] = {**asked, "gen_ai.request.stream": is_streamed, "ultra.model": entry.id}
        if of_call is None:
            parent = _serving.get() or Context()
        else:
            parent = self._within(of_call.job_id)
            attributes["ultra.job.id"] = str(of_call.job_id)
            attributes["ultra.call.id"] = str(of_call.call_id)
            attributes["ultra.call.attempt"] = of_call.attempt
        span = self._exporting.tracer.start_span(f"{operation} {entry.name}", parent, SpanKind.CLIENT, attributes)
        return TracedUpstreamRequest(span, self._meters, asked, is_streamed=is_streamed)

    def job_accepted(self, job_id: UUID, kind: str, started_ns: int) -> None:
        """See `Telemetry.job_accepted`."""
        attributes = {"gen_ai.workflow.name": kind, "ultra.job.id": str(job_id)}
        within = self._within(job_id)
        span = self._exporting.tracer.start_span(
            f"submit {kind}", within, SpanKind.PRODUCER, attributes, start_time=started_ns
        )
        span.end()

    def job_ended(self, job_id: UUID, kind: str, status: JobStatus) -> None:
        """See `Telemetry.job_ended`."""
        attributes = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": kind}
        submitted_ns = (job_id.int >> 80) * 1_000_000
        context = self._context_of(job_id)
        told = {**attributes, "ultra.job.id": str(job_id), "ultra.job.status": status}
        span = self._exporting.root(context, f"invoke_workflow {kind}", told, submitted_ns)
        if status in ("failed", "cancelled"):
            attributes["error.type"] = status
            _fail(span, status)
        span.end()
        self._meters.job_seconds.record(max(time.time_ns() - submitted_ns, 0) / NANOSECONDS, attributes)

    async def close(self) -> None:
        """See `Telemetry.close`."""
        await self._exporting.close()

    def _within(self, job_id: UUID) -> Context:
        return set_span_in_context(Remote(self._context_of(job_id)), Context())

    def _context_of(self, job_id: UUID) -> SpanContext:
        span_id = int.from_bytes(hashlib.sha256(job_id.bytes).digest()[:8], "big")
        return self._exporting.context_of(job_id.int, span_id)


class Meters:
    """What is measured of many requests."""

    def __init__(self, exporting: Exporting) -> None:
        histogram = exporting.meter.create_histogram
        self.seconds = histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Upstream requests, from their start to the last token.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.seconds_to_first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Streamed upstream requests, from their start to the first token.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.tokens = histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of an upstream request, as its server counted them.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self.job_seconds = histogram(
            "gen_ai.workflow.duration",
            "s",
            "Jobs, from their submission to their end.",
            explicit_bucket_boundaries_advisory=JOB_SECONDS,
        )


class TracedClientRequest:
    """See `ClientRequest`."""

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method

    def end(self, route: str, status: int) -> None:
        """See `ClientRequest.end`."""
        span = self._span
        span.update_name(f"{self._method} {route}")
        span.set_attribute("http.route", route)
        if status:
            span.set_attribute("http.response.status_code", status)
        if status == 0 or status >= 500:  # noqa: PLR2004  # what a client did wrong is no fault of the server's
            _fail(span, str(status) if status else CLIENT_GONE)
        span.end()


class TracedUpstreamRequest:
    """See `UpstreamRequest`."""

    def __init__(self, span: Span, meters: Meters, asked: dict[str, str], *, is_streamed: bool) -> None:
        self._span = span
        self._meters = meters
        self._asked = asked
        self._is_streamed = is_streamed
        self._started = time.perf_counter()
        self._is_over = False

    def begun(self) -> None:
        """See `UpstreamRequest.begun`."""
        if self._is_streamed:
            seconds = time.perf_counter() - self._started
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", seconds)
            self._meters.seconds_to_first_chunk.record(seconds, self._asked)

    def end(
        self,
        *,
        usage: Usage | None = None,
        reasoning_tokens: int | None = None,
        response_model: str | None = None,
        error: str | None = None,
    ) -> None:
        """See `UpstreamRequest.end`."""
        if self._is_over:
            return
        self._is_over = True
        span, measured = self._span, dict(self._asked)
        if response_model is not None:
            span.set_attribute("gen_ai.response.model", response_model)
            measured["gen_ai.response.model"] = response_model
        if usage is not None:
            self._count(usage, reasoning_tokens, measured)
        if error is not None:
            measured["error.type"] = error
            _fail(span, error)
        span.end()
        self._meters.seconds.record(time.perf_counter() - self._started, measured)

    def _count(self, usage: Usage, reasoning_tokens: int | None, measured: dict[str, str]) -> None:
        span = self._span
        span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", usage.completion_tokens)
        if usage.cached_prompt_tokens:
            span.set_attribute("gen_ai.usage.cache_read.input_tokens", usage.cached_prompt_tokens)
        if reasoning_tokens is not None:
            span.set_attribute("gen_ai.usage.reasoning.output_tokens", reasoning_tokens)
        self._meters.tokens.record(usage.prompt_tokens, {**measured, "gen_ai.token.type": "input"})
        self._meters.tokens.record(usage.completion_tokens, {**measured, "gen_ai.token.type": "output"})


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))
