"""Models in containers: the registry, how they stand, starting and stopping them."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.bodies import read_json
from api.containers import container_model, container_models
from api.dependencies import FollowerDep, KeeperDep, OperationId, RuntimeDep
from api.events.stream import EventResponse
from api.examples import OPERATION, OPERATION_ACCEPTED, shown
from api.openapi import json_body, key_parameter, problems
from api.operations import Asked
from api.responses import document
from api.routes.watching import EVENTS_EXTRA, OPERATION_EVENT_RESPONSES
from api.submit import idempotency_key
from common.contracts.fleet import (
    FleetStatus,
    LogsDocument,
    OperationAccepted,
    OperationDocument,
    Registry,
    RunRequest,
    StopRequest,
    Tail,
)
from common.contracts.jobs import TERMINAL
from common.fleet import inventory, logs, wishes
from common.fleet.documents import operation, registered, status

router = APIRouter(tags=["Models in containers"])

KEY_PARAMETER = key_parameter(
    "The same key and body give the same operation, however it ended; with another body it is refused with 409.",
    "start-of-the-week-17",
)
BEGUN: dict[int | str, dict[str, Any]] = {
    200: {"model": OperationAccepted, "description": "It is so already: there is no operation."},
    202: {
        "description": "It was asked for. It goes on by itself, whoever goes away.",
        "headers": {"Location": {"description": "Where to poll.", "schema": {"type": "string"}}},
    }
    | shown(OPERATION_ACCEPTED),
}


@router.get("/models", summary="List models in containers", response_model=Registry, responses=problems())
async def list_registry(runtime: RuntimeDep, caller: FollowerDep) -> Response:  # noqa: ARG001  # who may read
    """The registry, and how each of its models stands."""
    catalog = runtime.catalog
    entries = container_models(catalog)
    rows = {row["id"]: row for row in await runtime.database.fetch(wishes.look([entry.id for entry in entries]))}
    data = [registered(entry, catalog.aliases_of(entry.id), rows.get(entry.id)) for entry in entries]
    return document(Registry(data=data))


@router.get("/status", summary="Show the fleet", response_model=FleetStatus, responses=problems())
async def fleet_status(runtime: RuntimeDep, caller: FollowerDep) -> Response:  # noqa: ARG001  # who may read
    """Every model with its container, as its node saw it last, and the machines and GPUs."""
    database = runtime.database
    rows, nodes = await database.fetch(wishes.look()), await database.fetch(inventory.nodes())
    gpus = await database.fetch(inventory.gpus())
    return document(status(container_models(runtime.catalog), rows, nodes, gpus))


@router.post(
    "/run",
    status_code=202,
    summary="Start a model",
    response_model=OperationAccepted,
    responses=problems(404, 409, 413, 415, 422) | BEGUN,
    openapi_extra={"requestBody": json_body(RunRequest), "parameters": [KEY_PARAMETER]},
)
async def run_model(request: Request, runtime: RuntimeDep, caller: KeeperDep) -> Response:
    """Ask for a model, and follow the operation if you like: it is started whether or not anybody does.

    Two that ask at once get the same operation. Calls start models by themselves; this is for who wants one early.
    """
    key = idempotency_key(request.headers.get("idempotency-key"))
    asked = await read_json(request, RunRequest)
    entry = container_model(runtime.catalog, asked.model_id)
    return _begun(await runtime.operations.run(entry, Asked(asked.model_id, caller.owner, key)))


@router.post(
    "/stop",
    status_code=202,
    summary="Stop a model",
    response_model=OperationAccepted,
    responses=problems(404, 409, 413, 415, 422) | BEGUN,
    openapi_extra={"requestBody": json_body(StopRequest), "parameters": [KEY_PARAMETER]},
)
async def stop_model(request: Request, runtime: RuntimeDep, caller: KeeperDep) -> Response:
    """Let a model finish what it is doing, then end its container. A call that comes later starts it again."""
    key = idempotency_key(request.headers.get("idempotency-key"))
    asked = await read_json(request, StopRequest)
    entry = container_model(runtime.catalog, asked.model_id)
    return _begun(
        await runtime.operations.stop(
            entry,
            Asked(asked.model_id, caller.owner, key),
            drain_seconds=asked.drain_seconds,
            is_forced=asked.force,
        )
    )


@router.get(
    "/operations/{operation_id}",
    summary="Show an operation",
    response_model=OperationDocument,
    responses=problems(404) | {200: shown(OPERATION)},
)
async def show_operation(operation_id: OperationId, runtime: RuntimeDep, caller: FollowerDep) -> Response:  # noqa: ARG001
    """How far a start or a stop has come. Models are everybody's, and so are their operations."""
    row = await runtime.operations.load(operation_id)
    standing = None if row["status"] in TERMINAL else await runtime.operations.standing_of(row)
    return document(operation(row, standing), headers={"cache-control": "no-store"})


@router.get(
    "/operations/{operation_id}/events",
    summary="Watch an operation",
    response_class=Response,
    responses=problems(404) | OPERATION_EVENT_RESPONSES,
    openapi_extra=EVENTS_EXTRA,
)
async def watch_operation(
    operation_id: OperationId,
    request: Request,
    runtime: RuntimeDep,
    caller: FollowerDep,  # noqa: ARG001
) -> Response:
    """Server-Sent Events, from the beginning or from just after `Last-Event-ID`, until `job.finished`."""
    row = await runtime.operations.load(operation_id)
    last_event_id = request.headers.get("last-event-id")
    return EventResponse(runtime.hub, operation_id, last_event_id, has_ended=row["status"] in TERMINAL)


@router.get(
    "/models/{model_id:path}/logs",
    summary="Read a model's log",
    response_model=LogsDocument,
    responses=problems(404, 422),
)
async def read_model_logs(model_id: str, runtime: RuntimeDep, caller: KeeperDep, tail: Tail = 200) -> Response:  # noqa: ARG001
    """What the model's container wrote last. Some engines write prompts: this takes the scope `lifecycle`."""
    entry = container_model(runtime.catalog, model_id, field=None)
    row = await runtime.database.first(wishes.look([entry.id]))
    if row is None or row["container"] is None:
        raise logs.NoLogs
    lines = await logs.ask(runtime.redis, row["node"], row["container"], tail)
    return document(LogsDocument(model_id=entry.id, container=row["container"], lines=lines))


def _begun(accepted: OperationAccepted) -> Response:
    if accepted.links is None:
        return document(accepted)
    return document(accepted, status=202, headers={"location": accepted.links.self})
