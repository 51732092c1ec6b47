"""What both planes tell of their work, and to whom nothing need be told: the same calls, and nothing happens."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage
from common.contracts.jobs import JobStatus

# OpenTelemetry's names for what a model is asked to do.
Operation = Literal["chat", "text_completion", "embeddings"]

RawHeaders = Sequence[tuple[bytes, bytes]]


class OfCall(NamedTuple):
    """The attempt at a job's call that an upstream request is."""

    job_id: UUID
    call_id: UUID
    attempt: int


class ClientRequest(Protocol):
    """A client's request to the gateway. Upstream requests of the same task, and of tasks it starts, are below it."""

    def end(self, route: str, status: int) -> None:
        """It was answered with this status; 0 if its client was gone."""
        ...


class UpstreamRequest(Protocol):
    """A request to a model's server. Whoever holds one ends it."""

    def begun(self) -> None:
        """The first token of its stream is there."""
        ...

    def end(
        self,
        *,
        usage: Usage | None = None,
        reasoning_tokens: int | None = None,
        response_model: str | None = None,
        error: str | None = None,
    ) -> None:
        """It is over, with the code of an error if it failed; only the first time counts.

        `response_model` is what the server says that it is.
        """
        ...


class Telemetry(Protocol):
    """Takes what is told and returns at once: it never fails, and keeps no more than it has room for."""

    def client_request(self, method: str, request_id: str, headers: RawHeaders) -> ClientRequest:
        """A client's request has come. Its trace goes on if `headers` have a `traceparent`."""
        ...

    def upstream_request(
        self, operation: Operation, entry: ModelEntry, *, is_streamed: bool, of_call: OfCall | None = None
    ) -> UpstreamRequest:
        """A model is about to be asked, for a job's call or for the client's request that this task serves."""
        ...

    def job_accepted(self, job_id: UUID, kind: str, started_ns: int) -> None:
        """A job was committed; its submission began at `started_ns`, of `time.time_ns`."""
        ...

    def job_ended(self, job_id: UUID, kind: str, status: JobStatus) -> None:
        """A job has ended, and this is who ended it."""
        ...

    async def close(self) -> None:
        """Send what waits, as far as that goes quickly."""
        ...


class Silent:
    """Nobody listens. See `Telemetry`, `ClientRequest` and `UpstreamRequest`, all of which it is."""

    def client_request(self, method: str, request_id: str, headers: RawHeaders) -> ClientRequest:  # noqa: ARG002
        return NO_REQUEST

    def upstream_request(
        self,
        operation: Operation,  # noqa: ARG002
        entry: ModelEntry,  # noqa: ARG002
        *,
        is_streamed: bool,  # noqa: ARG002
        of_call: OfCall | None = None,  # noqa: ARG002
    ) -> UpstreamRequest:
        return NO_UPSTREAM_REQUEST

    def job_accepted(self, job_id: UUID, kind: str, started_ns: int) -> None: ...

    def job_ended(self, job_id: UUID, kind: str, status: JobStatus) -> None: ...

    async def close(self) -> None: ...


class _NoRequest:
    def end(self, route: str, status: int) -> None: ...


class _NoUpstreamRequest:
    def begun(self) -> None: ...

    def end(
        self,
        *,
        usage: Usage | None = None,
        reasoning_tokens: int | None = None,
        response_model: str | None = None,
        error: str | None = None,
    ) -> None: ...


SILENT = Silent()
NO_REQUEST = _NoRequest()
NO_UPSTREAM_REQUEST = _NoUpstreamRequest()
