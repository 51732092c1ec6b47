"""OpenAI's error envelope: how every failure under `/v1` looks on the wire.

{"error": {"message": …, "type": …, "param": … or null, "code": … or null}}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from api.gateway.faults import Fault
from api.gateway.json_bytes import dumps
from common.errors import (
    AppError,
    BadRequest,
    BadUpstream,
    Busy,
    ContentRefused,
    ContextTooLong,
    DependencyDown,
    Forbidden,
    InstanceGone,
    InvalidInput,
    NotFound,
    NotServed,
    NotStarted,
    ProviderError,
    RateLimited,
    RateLimitExceeded,
    Timeout,
    Unauthenticated,
    Unavailable,
    Unsupported,
    UpstreamModelMissing,
    UpstreamRejected,
)

Header = tuple[bytes, bytes]

# The nearest ancestor in the tree decides. A server that refused our key says nothing about our client's: 502.
STATUSES: Mapping[type[AppError], int] = {
    BadRequest: 400,
    InvalidInput: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Busy: 429,
    DependencyDown: 503,
    ProviderError: 502,
    RateLimited: 429,
    Timeout: 504,
    Unavailable: 503,
    BadUpstream: 502,
    UpstreamRejected: 400,
    UpstreamModelMissing: 404,
    ContextTooLong: 400,
    ContentRefused: 400,
    Unsupported: 400,
    NotServed: 503,
    NotStarted: 503,
    InstanceGone: 503,
    AppError: 500,
}

# What OpenAI calls what we call otherwise; its clients branch on these.
CODES = {
    "bad_request": None,
    "invalid_input": "invalid_value",
    "unauthenticated": "invalid_api_key",
    "forbidden": "insufficient_permissions",
    "not_found": "unknown_url",
    "busy": "rate_limit_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "upstream_model_missing": "model_not_found",
    "upstream_rejected": None,
    "context_too_long": "context_length_exceeded",
    "content_refused": "content_filter",
    "unsupported": "unsupported_parameter",
}
TYPES = {403: "permission_error", 429: "rate_limit_error"}
# A client told 429 or 503 comes back; without a word from the server, after this.
RETRY_AFTER_SECONDS = 1.0


class TooLarge(BadRequest):
    """The body is too large."""

    code = "request_too_large"


class NotJson(BadRequest):
    """Send JSON, with `Content-Type: application/json`."""

    code = "unsupported_media_type"


class WrongMethod(BadRequest):
    """This path takes another method."""

    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed
        super().__init__(f"This path takes {allowed}.")


class Misdirected(BadRequest):
    """The Host header names another server. Names this one is reached by go into ULTRA_ALLOWED_HOSTS."""

    code = "misdirected_request"


class Internal(AppError):
    """Something went wrong on our side; the log has it under this request id."""

    code = "internal_error"


_OWN_STATUSES: Mapping[type[AppError], int] = {TooLarge: 413, NotJson: 415, WrongMethod: 405, Misdirected: 421}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it goes out: before the first byte with its status, after it as the last event."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


def refusal(failure: AppError | Fault) -> Refusal:
    """How a client is told of this."""
    error = failure.error if isinstance(failure, Fault) else failure
    status = (failure.status if isinstance(failure, Fault) else None) or _status(error)
    code = (failure.code if isinstance(failure, Fault) else None) or CODES.get(error.code, error.code)
    param = (failure.param if isinstance(failure, Fault) else None) or getattr(error, "field", None)
    if param is None and error.code == "model_not_found":
        param = "model"
    document = {"error": {"message": error.message, "type": _type(status), "param": param, "code": code}}
    return Refusal(status, dumps(document), _headers(status, error))


def _status(error: AppError) -> int:
    table = {**STATUSES, **_OWN_STATUSES}
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def _type(status: int) -> str:
    return TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004


def _headers(status: int, error: AppError) -> tuple[Header, ...]:
    headers: list[Header] = []
    if status in {429, 503} or error.retry_after_seconds is not None:
        seconds = RETRY_AFTER_SECONDS if error.retry_after_seconds is None else error.retry_after_seconds
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(seconds))))
    if status == 401:  # noqa: PLR2004
        headers.append((b"www-authenticate", b'Bearer realm="ultrallm"'))
    if isinstance(error, WrongMethod):
        headers.append((b"allow", error.allowed.encode()))
    if isinstance(error, RateLimitExceeded):
        headers.extend((name.encode(), value.encode()) for name, value in error.headers.items())
    return tuple(headers)
