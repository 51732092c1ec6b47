"""Any job by its id, whatever its kind."""

from fastapi import APIRouter, Request, Response

from api.dependencies import JobId, ReaderDep, RuntimeDep, SubmitterDep
from api.examples import JOB, shown
from api.openapi import problems
from api.responses import etag_responses, job_document, unchanged
from api.routes.watching import EVENT_RESPONSES, EVENTS_EXTRA, watch
from common import documents
from common.contracts.jobs import JobDocument

router = APIRouter(tags=["Jobs"])


@router.get(
    "/api/jobs/{job_id}",
    summary="Show a job",
    response_model=JobDocument,
    responses=problems(404) | etag_responses(JOB),
)
async def show_job(job_id: JobId, request: Request, runtime: RuntimeDep, caller: ReaderDep) -> Response:
    """What every kind of job has. `If-None-Match` with the last ETag makes polling cheap."""
    if (same := await unchanged(request, runtime.jobs, job_id, caller)) is not None:
        return same
    row = await runtime.jobs.load(job_id, caller)
    return job_document(row, documents.job(row))


@router.get(
    "/api/jobs/{job_id}/events",
    summary="Watch a job",
    response_class=Response,
    responses=problems(404) | EVENT_RESPONSES,
    openapi_extra=EVENTS_EXTRA,
)
async def watch_job(job_id: JobId, request: Request, runtime: RuntimeDep, caller: ReaderDep) -> Response:
    """Server-Sent Events, from the beginning or from just after `Last-Event-ID`, until `job.finished`."""
    return await watch(job_id, request, runtime, caller)


@router.post(
    "/api/jobs/{job_id}/cancel",
    summary="Cancel a job",
    response_model=JobDocument,
    responses=problems(404) | {200: shown(JOB)},
)
async def cancel_job(job_id: JobId, runtime: RuntimeDep, caller: SubmitterDep) -> Response:
    """End the job and stop what its models are doing. One that has ended stays as it is."""
    row = await runtime.jobs.cancel(job_id, caller)
    return job_document(row, documents.job(row))
