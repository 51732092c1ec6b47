"""One prompt for one model in a container."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.bodies import read_json
from api.containers import container_model
from api.dependencies import runtime_of
from api.events.waiting import wait_for_end
from api.examples import INFERENCE, shown
from api.inference import document_of
from api.openapi import SUBMITTED, header_parameter, json_body, key_parameter, problems
from api.prefer import MAX_WAIT_SECONDS, parse_prefer
from api.responses import document
from api.submit import idempotency_key
from common.contracts.fleet import InferenceAccepted, InferenceDocument, InferenceRequest
from common.contracts.limits import UNLIMITED

router = APIRouter(tags=["Models in containers"])

INFER_EXTRA: dict[str, Any] = {
    "requestBody": json_body(InferenceRequest),
    "parameters": [
        key_parameter(
            "The same key and body give the same job; the same key with another body is refused with 409.",
            "prompt-17",
        ),
        header_parameter(
            "Prefer",
            f"The answer is waited for, {MAX_WAIT_SECONDS} s at most or `wait=SECONDS`; then it is answered 202 and "
            "the job goes on. `respond-async` answers at once.",
            {"type": "string"},
            "wait=30",
        ),
    ],
}


@router.post(
    "/inference",
    summary="Ask a model in a container",
    response_model=InferenceDocument,
    responses=problems(404, 409, 413, 415, 422, 429, 502)
    | {
        200: shown(INFERENCE),
        202: {
            "model": InferenceAccepted,
            "description": "It takes longer than the caller waits: poll the job.",
            "headers": SUBMITTED,
        },
    },
    openapi_extra=INFER_EXTRA,
)
async def infer(request: Request) -> Response:
    """Put a prompt to a model, which is started if it does not run. Its own deadline begins when it is ready."""
    runtime, headers = runtime_of(request), request.headers
    caller = await runtime.auth.admit(headers, "submit")
    key = idempotency_key(headers.get("idempotency-key"))
    asked = await read_json(request, InferenceRequest)
    entry = container_model(runtime.catalog, asked.model_id)
    if caller.limits != UNLIMITED:
        await runtime.metering.let_in(caller, [entry.id])
    accepted = await runtime.submissions.infer(asked, entry, owner=caller.owner, idempotency_key=key)
    job = accepted.job
    preference = parse_prefer(headers.get("prefer"), usual_wait_seconds=MAX_WAIT_SECONDS)
    sent = {"location": job.links.self}
    if preference.applied:
        sent["preference-applied"] = preference.applied
    if accepted.is_replay:
        sent["idempotency-replayed"] = "true"
    else:
        runtime.metrics.submissions.inc()
    if preference.wait_seconds:
        finish = await wait_for_end(runtime.hub, job.id, preference.wait_seconds, request.receive)
        if finish is not None:
            return document(document_of(finish), headers=sent)
    going_on = InferenceAccepted(
        id=job.id, status=job.status, model_id=entry.id, created_at=job.created_at, links=job.links
    )
    return document(going_on, status=202, headers=sent)
