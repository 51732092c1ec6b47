"""Any job by its id, whatever its kind, and the calls that were given up."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import models_asked
from api.cursors import decode_moment_cursor, encode_moment_cursor
from api.dependencies import JobId, ReaderDep, RuntimeDep, SubmitterDep
from api.examples import ACCEPTED, DEAD_PAGE, JOB, shown
from api.openapi import SUBMITTED, key_parameter, problems
from api.responses import document, etag_responses, job_document, unchanged
from api.retry import asked_by
from api.routes.watching import EVENT_RESPONSES, EVENTS_EXTRA, watch
from api.submit import idempotency_key
from common import documents
from common.contracts.analyses import JobAccepted
from common.contracts.dead_letters import DeadPage
from common.contracts.jobs import JobDocument
from common.contracts.limits import UNLIMITED
from common.database import dead_letters

router = APIRouter(tags=["Jobs"])

RETRIED = {name: SUBMITTED[name] for name in ("Location", "Idempotency-Replayed")}
RETRY_EXTRA: dict[str, Any] = {
    "parameters": [
        key_parameter(
            "The same key for the same job gives the same retry; the key of another request is refused with 409.",
            "retry-of-order-17",
        ),
    ],
}


# Before the jobs themselves: `dead` is no id.
@router.get(
    "/api/jobs/dead",
    summary="List dead letters",
    response_model=DeadPage,
    responses=problems(422) | {200: shown(DEAD_PAGE)},
)
async def list_dead_calls(
    runtime: RuntimeDep,
    caller: ReaderDep,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 20,
    cursor: Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Calls that were given up because worker after worker fell silent on them, newest first.

    Find out why before you retry their jobs: what killed three workers kills the fourth.
    """
    rows = await runtime.database.fetch(
        dead_letters.page(
            owner=caller.sees,
            before=decode_moment_cursor(cursor) if cursor else None,
            limit=limit + 1,  # one more tells whether there is a next page
        )
    )
    here = rows[:limit]
    more = encode_moment_cursor(here[-1]["finished_at"], here[-1]["id"]) if len(rows) > limit else None
    return document(DeadPage(data=[documents.dead_call(row) for row in here], next_cursor=more))


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


@router.post(
    "/api/jobs/{job_id}/retry",
    status_code=202,
    summary="Retry a job",
    response_model=JobAccepted,
    responses=problems(404, 409, 422, 429)
    | {202: {"description": "Committed as a new job.", "headers": RETRIED} | shown(ACCEPTED)},
    openapi_extra=RETRY_EXTRA,
)
async def retry_job(job_id: JobId, request: Request, runtime: RuntimeDep, caller: SubmitterDep) -> Response:
    """Submit an ended job again, as a new job of the same owner whose `retry_of` names the old one.

    The old job stays as it ended. The models and the pattern are those that its request was resolved to then. A job
    that completed is asked again like any other, and is paid for again.
    """
    key = idempotency_key(request.headers.get("idempotency-key"))
    row = await runtime.jobs.load(job_id, caller)
    if caller.limits != UNLIMITED:
        asked = asked_by(row)
        await runtime.metering.let_in(
            caller, models_asked.of_analysis(asked), besides=models_asked.of_pattern(asked.pattern)
        )
    accepted = await runtime.submissions.retry(row, idempotency_key=key)
    sent = {"location": accepted.job.links.self}
    if accepted.is_replay:
        sent["idempotency-replayed"] = "true"
    else:
        runtime.metrics.submissions.inc()
    return document(accepted.job, status=202, headers=sent)
