"""What servers of OpenAI's interface say when they fail."""

import re
import time
from collections.abc import Mapping
from typing import Any

import orjson

from api.gateway.faults import Fault
from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Unsupported,
    UpstreamDenied,
    UpstreamRejected,
)
from common.providers.foreign_errors import classify, presentable, retry_after_seconds

# Codes and parameters that are longer are no codes and parameters.
MAX_NAME_CHARACTERS = 100
STATUS = re.compile(r"[1-5][0-9]{2}")


def refused(server: str, status: int, headers: Mapping[str, str], body: bytes, secret: str | None) -> Fault:
    """The fault of a response that is none. `body` may be cut off."""
    said = _error_object(body)
    detail = presentable(_message(said) or body.decode("utf-8", "replace").strip(), secret)
    kind = classify(status, (_name(said, "code"), _name(said, "type")), detail)
    seconds = retry_after_seconds(headers, time.time())
    error = kind(f"{server} answered {status}: {detail}", retry_after_seconds=seconds)
    if isinstance(error, UpstreamDenied | BadUpstream):
        return Fault(error)  # between us and the server; our client's key and request are in order
    return Fault(error, status=_own_status(error, status), param=_name(said, "param"), code=_name(said, "code"))


def said_error(server: str, said: Any) -> Fault:
    """The fault of an error object inside a stream that began well."""
    said = said if isinstance(said, dict) else {"message": str(said)}
    detail = presentable(_message(said) or "it gave no reason", None)
    code = said.get("code")
    # llama.cpp puts the status into `code`
    status = int(code) if isinstance(code, int) or (isinstance(code, str) and STATUS.fullmatch(code)) else None
    kind = classify(status, (_name(said, "code"), _name(said, "type")), detail)
    return Fault(kind(f"{server} broke off: {detail}"), param=_name(said, "param"))


def _own_status(error: ProviderError, status: int) -> int | None:
    """The server's status, where it says the same as the error: SDKs ask again after 5xx, and wait after 429."""
    if isinstance(error, RateLimited):
        return 429
    is_of_the_request = isinstance(error, UpstreamRejected | ContextTooLong | ContentRefused | Unsupported)
    return None if is_of_the_request and status >= 500 else status  # noqa: PLR2004


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    error = document.get("error", document) if isinstance(document, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _message(said: dict[str, Any]) -> str:
    message = said.get("message") or said.get("detail")
    return message if isinstance(message, str) else ""


def _name(said: dict[str, Any], field: str) -> str | None:
    value = said.get(field)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS else None
