"""Analyses: submit, look, list, cancel, delete."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import models_asked
from api.bodies import read_json
from api.cursors import decode_cursor, encode_cursor
from api.database import Row
from api.dependencies import JobId, ReaderDep, RuntimeDep, SubmitterDep, runtime_of
from api.events.waiting import wait_for_end
from api.examples import ACCEPTED, ANALYSIS, PAGE, shown
from api.openapi import SUBMITTED, header_parameter, json_body, key_parameter, problems
from api.prefer import MAX_WAIT_SECONDS, parse_prefer
from api.responses import document, etag_responses, finished_document, job_document, unchanged
from api.routes.watching import EVENT_RESPONSES, EVENTS_EXTRA, watch
from api.submit import idempotency_key
from common import documents
from common.catalog.catalog import Catalog
from common.contracts.analyses import AnalysisDocument, AnalysisPage, AnalysisRequest, JobAccepted
from common.contracts.jobs import JobStatus
from common.contracts.limits import UNLIMITED
from common.database import listing
from common.errors import JobNotFound, ModelNotFound

router = APIRouter(tags=["Analyses"])

# Postgres stores no NUL; the rest of what is left out appears in no name of ours.
Name = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]

SUBMIT_EXTRA: dict[str, Any] = {
    "requestBody": json_body(AnalysisRequest),
    "parameters": [
        key_parameter(
            "The same key and body give the same job; the same key with another body is refused with 409.",
            "3f1c0a9e-order-17",
        ),
        header_parameter(
            "Prefer",
            f"`wait=SECONDS` holds the request open for the finished document, {MAX_WAIT_SECONDS} s at most; "
            "then it is answered 202 and the job goes on. `respond-async` answers at once, which is the default.",
            {"type": "string"},
            "wait=30",
        ),
    ],
}


@router.post(
    "/api/analyze",
    status_code=202,
    summary="Submit an analysis",
    response_model=JobAccepted,
    responses=problems(404, 409, 413, 415, 422, 429)
    | {
        200: {"model": AnalysisDocument, "description": "Finished within the request's `Prefer: wait`."}
        | shown(ANALYSIS),
        202: {"description": "Committed. It will run, whatever dies.", "headers": SUBMITTED} | shown(ACCEPTED),
    },
    openapi_extra=SUBMIT_EXTRA,
)
async def analyze(request: Request) -> Response:
    """Queue an analysis. Poll `links.self`, or watch `links.events`.

    The answer is sent after the job was committed: it will run, whatever dies.
    """
    # Everything is read by hand: as FastAPI's parameters it would cost as much again as the rest.
    runtime, headers = runtime_of(request), request.headers
    caller = await runtime.auth.admit(headers, "submit")
    key = idempotency_key(headers.get("idempotency-key"))
    asked = await read_json(request, AnalysisRequest)
    if caller.limits != UNLIMITED:
        pattern = runtime.patterns.get(asked.analysis_type)
        await runtime.metering.let_in(
            caller, models_asked.of_request(asked, runtime.catalog), besides=models_asked.of_pattern(pattern)
        )
    accepted = await runtime.submissions.submit(asked, owner=caller.owner, idempotency_key=key)
    preference = parse_prefer(headers.get("prefer"))
    sent = {"location": accepted.job.links.self}
    if preference.applied:
        sent["preference-applied"] = preference.applied
    if accepted.is_replay:
        sent["idempotency-replayed"] = "true"
    else:
        runtime.metrics.submissions.inc()
    if preference.wait_seconds:
        finish = await wait_for_end(runtime.hub, accepted.job.id, preference.wait_seconds, request.receive)
        if finish is not None:
            return finished_document(finish, sent)
    return document(accepted.job, status=202, headers=sent)


@router.get(
    "/api/analysis/{job_id}",
    summary="Show an analysis",
    response_model=AnalysisDocument,
    responses=problems(404) | etag_responses(ANALYSIS),
)
async def show_analysis(job_id: JobId, request: Request, runtime: RuntimeDep, caller: ReaderDep) -> Response:
    """The whole analysis, as far as it has come. `If-None-Match` with the last ETag makes polling cheap."""
    if (same := await unchanged(request, runtime.jobs, job_id, caller)) is not None:
        return same
    row = analysis_row(await runtime.jobs.load(job_id, caller))
    return job_document(row, documents.analysis(row))


@router.get(
    "/api/analysis/{job_id}/events",
    summary="Watch an analysis",
    response_class=Response,
    responses=problems(404) | EVENT_RESPONSES,
    openapi_extra=EVENTS_EXTRA,
)
async def watch_analysis(job_id: JobId, request: Request, runtime: RuntimeDep, caller: ReaderDep) -> Response:
    """Server-Sent Events, from the beginning or from just after `Last-Event-ID`, until `job.finished`."""
    return await watch(job_id, request, runtime, caller)


@router.post(
    "/api/analysis/{job_id}/cancel",
    summary="Cancel an analysis",
    response_model=AnalysisDocument,
    responses=problems(404) | {200: shown(ANALYSIS)},
)
async def cancel_analysis(job_id: JobId, runtime: RuntimeDep, caller: SubmitterDep) -> Response:
    """End the analysis and stop what its models are doing. One that has ended stays as it is."""
    analysis_row(await runtime.jobs.load(job_id, caller))
    row = await runtime.jobs.cancel(job_id, caller)
    return job_document(row, documents.analysis(row))


@router.delete(
    "/api/analysis/{job_id}",
    status_code=204,
    summary="Delete an analysis",
    responses=problems(404, 409),
)
async def delete_analysis(job_id: JobId, runtime: RuntimeDep, caller: SubmitterDep) -> Response:
    """Forget an ended analysis, its answers and its events. One that runs is refused: cancel it first."""
    analysis_row(await runtime.jobs.load(job_id, caller))
    await runtime.jobs.remove(job_id, caller)
    return Response(status_code=204)


@router.get(
    "/api/analyses",
    summary="List analyses",
    response_model=AnalysisPage,
    responses=problems(422) | {200: shown(PAGE)},
)
async def list_analyses(
    runtime: RuntimeDep,
    caller: ReaderDep,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 20,
    cursor: Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")] = None,
    status: Annotated[JobStatus | None, Query(description="Only those with this status.")] = None,
    analysis_type: Annotated[Name, Query(description="Only those of this type.")] = None,
    model: Annotated[Name, Query(description="Id or alias: only those that asked this model.")] = None,
) -> Response:
    """Newest first, without prompts and answers."""
    rows = await runtime.database.fetch(
        listing.page(
            owner=caller.sees,
            before=decode_cursor(cursor) if cursor else None,
            limit=limit,
            status=status,
            kind=analysis_type,
            model=model_id(runtime.catalog, model) if model else None,
        )
    )
    page = listing.cut(rows, limit)
    more = encode_cursor(page.end) if page.end else None
    return document(AnalysisPage(data=[documents.summary(row) for row in page.rows], next_cursor=more))


def analysis_row(row: Row) -> Row:
    """The row, if it is an analysis.

    Raises:
        JobNotFound: a job of another kind, which has its place under `/api/jobs`.
    """
    if not documents.is_analysis(row):
        raise JobNotFound
    return row


def model_id(catalog: Catalog, name: str) -> str:
    """The id behind a name; a model that left the catalog still has its analyses."""
    try:
        return catalog.resolve(name).id
    except ModelNotFound:
        return name
