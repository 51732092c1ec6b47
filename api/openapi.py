"""What the OpenAPI document says beyond what routes say of themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.gateway import openapi as gateway
from api.problems import MEDIA_TYPE, Problem
from api.submit import MAX_KEY_CHARACTERS
from common.contracts.analyses import AnalysisRequest
from common.contracts.fleet import InferenceRequest, RunRequest, StopRequest

DESCRIPTION = """
Ask many models at once, compare and judge their answers, as durable jobs.

A submission is committed before it is answered. Poll the job (`ETag` and `If-None-Match` make that cheap),
watch its events (Server-Sent Events that resume by `Last-Event-ID`), or hold the request open with
`Prefer: wait=SECONDS`.

Errors are problem documents (RFC 9457), under `/v1` OpenAI's own. Every response carries `x-request-id`; quote it
when you ask for help.
"""

TAGS = [
    {"name": "Analyses", "description": "One prompt for many models, and what becomes of the answers."},
    {"name": "Jobs", "description": "Any job by its id, whatever its kind."},
    {"name": "Catalog", "description": "What can be asked for."},
    {"name": "Models in containers", "description": "Those that are started here when they are asked for."},
    gateway.TAG,
    {"name": "Usage", "description": "What calls came to: tokens, cost, latency and failures."},
    {"name": "Health", "description": "Whether it works, and how much it does."},
]

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`ultra keys create NAME` makes a key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

MEANINGS = {
    401: "No valid API key.",
    403: "The API key lacks the scope.",
    404: "No such thing, or not the caller's.",
    409: "In conflict with what is there.",
    413: "The body is larger than 1 MiB.",
    415: "The body does not say it is JSON.",
    421: "The Host header names another server.",
    422: "A field is wrong; `errors` names it.",
    429: "Too much work is waiting; `Retry-After` says when to come back.",
    502: "The model's server failed.",
    503: "Postgres is away, or a model cannot be started; `Retry-After` says when to come back.",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
STRING = {"type": "string"}
SUBMITTED = {
    "Location": {"description": "Where to poll.", "schema": STRING},
    "Preference-Applied": {"description": "What of `Prefer` was heeded.", "schema": STRING},
    "Idempotency-Replayed": {"description": "`true`: an earlier request made this job.", "schema": STRING},
}
REQUEST_ID = {"description": "The request's id: the caller's own, or a new one.", "schema": STRING}

REFERENCE = "#/components/schemas/{model}"
SCHEMAS: tuple[type[BaseModel], ...] = (Problem, AnalysisRequest, RunRequest, StopRequest, InferenceRequest)

UNUSED = frozenset({"HTTPValidationError", "ValidationError"})

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The problem responses of an operation, with those that any guarded one can give."""
    return {status: _problem_response(status) for status in sorted({*statuses, 401, 403, 421, 503})}


def open_problems(*statuses: int) -> Responses:
    """The problem responses of an operation that asks nobody for a key."""
    return {status: _problem_response(status) for status in sorted({*statuses, 421})}


def operation_id(route: APIRoute) -> str:
    """The function's name: that is how a generated client calls the operation."""
    return route.name


def header_parameter(name: str, description: str, schema: dict[str, Any], example: str) -> dict[str, Any]:
    """A header that a route reads by itself."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": schema,
        "example": example,
    }


def key_parameter(description: str, example: str) -> dict[str, Any]:
    """`Idempotency-Key`; the description says what the same key gives."""
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS, "pattern": "^[ -~]+$"}
    return header_parameter("Idempotency-Key", description, schema, example)


def json_body(contract: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads it by itself; the contract is one of SCHEMAS."""
    return {"required": True, "content": {"application/json": {"schema": reference(contract)}}}


def reference(contract: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=contract.__name__)}


def complete(app: FastAPI, *, is_key_required: bool) -> None:
    """Add what routes that read headers and bodies by themselves do not tell FastAPI."""
    without_key: list[dict[str, list[str]]] = [] if is_key_required else [{}]
    plain = app.openapi

    def completed() -> dict[str, Any]:
        schema = plain()
        if "security" not in schema:
            schema["security"] = without_key + [{name: []} for name in SECURITY_SCHEMES]
            components = schema.setdefault("components", {})
            components["securitySchemes"] = SECURITY_SCHEMES
            schema["paths"] |= gateway.paths()
            components["schemas"] = (
                _schemas(*SCHEMAS)
                | gateway.SCHEMAS
                | {name: one for name, one in components.get("schemas", {}).items() if name not in UNUSED}
            )
            for path in schema["paths"].values():
                for operation in path.values():
                    _drop_fastapis_own_422(operation["responses"])
                    for response in operation["responses"].values():
                        response["headers"] = {"x-request-id": REQUEST_ID} | response.get("headers", {})
        return schema

    app.openapi = completed  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _drop_fastapis_own_422(responses: dict[str, Any]) -> None:
    """FastAPI expects one wherever there is a path parameter; ours answer 404."""
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]


def _problem_response(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": reference(Problem)}},
    }
    if status == 401:  # noqa: PLR2004
        response["headers"] = {"WWW-Authenticate": {"description": "`Bearer`.", "schema": STRING}}
    if status in {429, 503}:
        response["headers"] = RETRY_AFTER
    return response


def _schemas(*contracts: type[BaseModel]) -> dict[str, Any]:
    """The contracts and all that they are made of, as components."""
    found: dict[str, Any] = {}
    for contract in contracts:
        schema = contract.model_json_schema(ref_template=REFERENCE)
        found |= schema.pop("$defs", {})
        found[contract.__name__] = schema
    return found
