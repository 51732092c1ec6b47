"""The wire shape of dead letters: calls that were given up because they kept silencing their workers."""

from pydantic import BaseModel, Field

from common.contracts.calls import ErrorDetail
from common.contracts.jobs import JobStatus


class DeadCall(BaseModel):
    """One call that nobody will try again. Its job went on without it, and can be retried when it has ended."""

    job_id: str
    call_id: str
    kind: str = Field(description="The job's workflow, for example `comparative`.")
    job_status: JobStatus
    model: str = Field(description="Catalog id that was asked.")
    attempts: int = Field(description="Upstream requests that may have been made for it.")
    silences: int = Field(description="Workers that fell silent on it.")
    died_at: str
    error: ErrorDetail


class DeadPage(BaseModel):
    """Newest first. `next_cursor` is null on the last page."""

    data: list[DeadCall]
    next_cursor: str | None
