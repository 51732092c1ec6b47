"""Faults on the wire: OpenAI's error envelope, for every path."""

from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from runner.faults import InvalidInput, Refused

SERVER_FAULT = 500
CODES = {404: "unknown_url", 405: "method_not_allowed"}


def envelope(fault: Refused) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`."""
    return _error(fault.status, fault.message, fault.code, getattr(fault, "parameter", None))


def response(fault: Refused) -> JSONResponse:
    """The fault with its status; what passes with time says when to come back."""
    retry_after = fault.retry_after_seconds
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return JSONResponse(envelope(fault), fault.status, headers)


async def on_refused(_: Request, fault: Exception) -> JSONResponse:
    """Starlette's handler of our own faults."""
    assert isinstance(fault, Refused)
    return response(fault)


async def on_http(_: Request, error: Exception) -> JSONResponse:
    """Starlette's handler of what the router refuses."""
    assert isinstance(error, HTTPException)
    return JSONResponse(_error(error.status_code, error.detail, CODES.get(error.status_code), None), error.status_code)


async def on_crash(_: Request, error: Exception) -> JSONResponse:
    """Starlette's handler of what nobody foresaw; it is logged besides."""
    return JSONResponse(
        _error(SERVER_FAULT, f"Internal error: {type(error).__name__}.", "internal", None), SERVER_FAULT
    )


def invalid(error: ValidationError) -> InvalidInput:
    """The first thing that is wrong with a body."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or None
    return InvalidInput(f"{where}: {first['msg']}" if where else first["msg"], parameter=where)


def _error(status: int, message: str, code: str | None, parameter: str | None) -> dict[str, Any]:
    kind = "server_error" if status >= SERVER_FAULT else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}
