"""The error tree, mapped to HTTP: the one place that knows which error is which status."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from api.problems import FieldError, problem
from common.errors import (
    AppError,
    BadRequest,
    Busy,
    DependencyDown,
    Forbidden,
    IdempotencyConflict,
    InstanceGone,
    InvalidInput,
    JobNotFinished,
    ModelGone,
    NotFound,
    NotStarted,
    ProviderError,
    Unauthenticated,
)

# The nearest ancestor in the tree decides.
STATUSES: Mapping[type[AppError], int] = {
    BadRequest: 400,
    InvalidInput: 422,
    IdempotencyConflict: 409,
    JobNotFinished: 409,
    ModelGone: 409,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Busy: 429,
    DependencyDown: 503,
    ProviderError: 502,
    NotStarted: 503,
    InstanceGone: 503,
    AppError: 500,
}

# Where FastAPI found a value is no part of the field's name.
PLACES = frozenset({"body", "query", "path", "header", "cookie"})
# A body may be wrong in thousands of places, and a wrong field's name may be the body.
MAX_FIELD_ERRORS = 20
MAX_FIELD_CHARACTERS = 100
# When to come again, where an error does not say.
RETRY_AFTER_SECONDS = 1.0


def install(app: FastAPI, routes: Sequence[BaseRoute] = ()) -> None:
    """Answer every error that reaches the app as a problem document.

    `routes` are those that share a path with another: a wrong method is answered with all that are right.
    """
    app.state.routes = routes
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def from_app_error(error: AppError) -> Response:
    """The response to an error of ours."""
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    headers = {"www-authenticate": 'Bearer realm="ultrallm"'} if status == HTTPStatus.UNAUTHORIZED else None
    seconds = error.retry_after_seconds
    if seconds is None and status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = RETRY_AFTER_SECONDS
    return problem(
        status,
        error.code,
        (type(error).__doc__ or "").strip(),
        error.message,
        errors=[FieldError(field=error.field, message=error.message)] if isinstance(error, InvalidInput) else (),
        retry_after_seconds=seconds,
        headers=headers,
    )


def from_validation(faults: Sequence[Mapping[str, Any]]) -> Response:
    """422 that names the fields and says what is wrong with each, but never what was sent."""
    errors = [_field_error(fault) for fault in faults[:MAX_FIELD_ERRORS]]
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    return problem(
        422,
        InvalidInput.code,
        (InvalidInput.__doc__ or "").strip(),
        f"{errors[0].field}: {errors[0].message}{more}",
        errors=errors,
    )


def unexpected() -> Response:
    """500 that says nothing about our insides; the log has the rest under the same request id."""
    return problem(500, "internal_error", "Something went wrong on our side.", "The log has it under this request id.")


def _field_error(fault: Mapping[str, Any]) -> FieldError:
    parts = [str(part) for part in fault["loc"]]
    if len(parts) > 1 and parts[0] in PLACES:
        parts = parts[1:]
    message = fault["msg"].removeprefix("Value error, ")
    return FieldError(field=".".join(parts)[:MAX_FIELD_CHARACTERS] or "body", message=message)


async def _on_app_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return from_app_error(error)


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return from_validation(error.errors())


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette itself answers: no such path, no such method, a body that is too large."""
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"allow": ", ".join(sorted(_methods(request, error)))}
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return problem(error.status_code, code, phrase, str(error.detail), headers=headers)


def _methods(request: Request, error: HTTPException) -> set[str]:
    """Every method of this path. Starlette itself names those of one route only."""
    matching = (one for one in request.app.state.routes if one.matches(request.scope)[0] is not Match.NONE)
    named = {method for route in matching for method in getattr(route, "methods", None) or ()}
    return (named | set(Headers(error.headers or {}).get("allow", "").split(", "))) - {""}
