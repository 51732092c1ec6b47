"""Health and metrics: for load balancers, dashboards and `ultra doctor`. They ask nobody for a key,
but `/metrics` does where keys are required.
"""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.dependencies import ReaderDep, RuntimeDep
from api.health import health_document
from api.openapi import RETRY_AFTER, Responses, open_problems, problems
from api.responses import document
from api.runtime import Runtime
from common.contracts.health import Alive, HealthDocument

router = APIRouter(tags=["Health"])

OPEN = {"security": list[str]()}
OK, UNAVAILABLE = 200, 503
RETRY_AFTER_SECONDS = 2

NOT_NOW: Responses = {
    503: {
        "model": HealthDocument,
        "description": "Not now; `Retry-After` says when to ask again.",
        "headers": RETRY_AFTER,
    }
}


@router.get(
    "/health",
    summary="Health",
    response_model=HealthDocument,
    responses=NOT_NOW | open_problems(),
    openapi_extra=OPEN,
)
async def health(runtime: RuntimeDep) -> Response:
    """200 while work can be accepted, whether or not somebody is there to do it; `checks` has the details."""
    found = await _look(runtime)
    return _answer(found, is_ok=found.status != "unavailable")


@router.get(
    "/health/ready",
    summary="Readiness",
    response_model=HealthDocument,
    responses=NOT_NOW | open_problems(),
    openapi_extra=OPEN,
)
async def ready(runtime: RuntimeDep) -> Response:
    """200 while work is accepted and done: database, broker, and a live worker on every queue."""
    found = await _look(runtime)
    return _answer(found, is_ok=found.status == "healthy")


@router.get("/health/live", summary="Liveness", response_model=Alive, responses=open_problems(), openapi_extra=OPEN)
async def live() -> Response:
    """200 while the process answers at all. Looks at nothing else."""
    return document(Alive())


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses=problems()
    | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format."}},
)
async def metrics(runtime: RuntimeDep, caller: ReaderDep) -> Response:  # noqa: ARG001  # a caller who may read
    """What Prometheus scrapes. Figures of the queues are at most two seconds old."""
    await runtime.figures.refresh()
    return Response(runtime.metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})


async def _look(runtime: Runtime) -> HealthDocument:
    return health_document(await runtime.health.checks(), runtime.settings, runtime.catalog, runtime.version)


def _answer(found: HealthDocument, *, is_ok: bool) -> Response:
    headers = {"cache-control": "no-store"}
    if not is_ok:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return document(found, status=OK if is_ok else UNAVAILABLE, headers=headers)
