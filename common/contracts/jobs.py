"""A job: one durable unit of a user's work."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from common.contracts.calls import ErrorDetail

JobStatus = Literal["queued", "running", "completed", "partial", "failed", "cancelled"]
TERMINAL: frozenset[JobStatus] = frozenset({"completed", "partial", "failed", "cancelled"})


class Progress(BaseModel):
    """Calls finished, of the calls known so far. Later rounds may add to `total`."""

    done: int
    total: int


class Links(BaseModel):
    self: str
    events: str
    cancel: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: what a workflow returns.

    `result` is the JSON document of the analysis type, `text` the same for reading.
    """

    status: Literal["completed", "partial", "failed"]
    result: dict[str, Any] | None = None
    text: str | None = None
    error: ErrorDetail | None = None


class JobDocument(BaseModel):
    """Any job, whatever its kind. `/api/analysis/{id}` shows analyses in more detail."""

    id: str
    kind: str = Field(description="The workflow, for example `comparative`.")
    status: JobStatus
    created_at: str
    started_at: str | None
    finished_at: str | None
    progress: Progress
    result: dict[str, Any] | None
    text: str | None
    error: ErrorDetail | None
    retry_of: str | None = Field(None, description="The job that was submitted again as this one.")
    links: Links
