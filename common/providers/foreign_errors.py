"""What model servers have in common when they complain: statuses, names, words, broken connections."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx2

from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Unavailable,
    Unsupported,
    UpstreamDenied,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.storable import storable

# Enough for the sentence that helps; servers have sent whole HTML pages, and prompts back.
MAX_DETAIL_CHARACTERS = 400

# `code` or `type` of the error object: OpenAI's own, llama.cpp's, and what gateways add.
BY_NAME: dict[str, type[ProviderError]] = {
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,
    "content_filter": ContentRefused,
    "content_policy_violation": ContentRefused,
    "moderation_blocked": ContentRefused,
    "model_not_found": UpstreamModelMissing,
    # An account without credit is answered 429 too, and no patience helps.
    "insufficient_quota": UpstreamDenied,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "overloaded_error": Unavailable,
    "unavailable_error": Unavailable,
    "server_error": Unavailable,
    "not_supported_error": Unsupported,
}

BY_STATUS: dict[int, type[ProviderError]] = {
    401: UpstreamDenied,
    402: UpstreamDenied,
    403: UpstreamDenied,
    404: UpstreamModelMissing,
    408: Unavailable,  # it waited for our bytes, not for its model
    409: Unavailable,
    413: ContextTooLong,
    425: Unavailable,
    429: RateLimited,
    501: Unsupported,
}

# Servers that give no code say it in words, and not all of them call it a 400.
CONTEXT_STATUSES = frozenset({400, 422, 500})
CONTEXT_WORDS = ("context length", "context size", "context window", "maximum context")
# llama.cpp, of a model that sees nothing, and of a request that is no chat; it calls both failures of its own.
BY_WORDS: dict[str, type[ProviderError]] = {
    "image input is not supported": Unsupported,
    "failed to parse messages": UpstreamRejected,
    "failed to parse tools": UpstreamRejected,
}


def classify(status: int | None, names: tuple[str | None, ...], detail: str) -> type[ProviderError]:
    """The class of a server's error: its code and type say most, then its words, then the HTTP status.

    But for llama.cpp's words of what it cannot do or read, which it gives the wrong type: anybody could have it left
    alone for everybody by asking badly.
    """
    said = detail.lower()
    for words, kind in BY_WORDS.items():
        if words in said:
            return kind
    for name in names:
        if name in BY_NAME:
            return BY_NAME[name]
    if status in CONTEXT_STATUSES and any(words in said for words in CONTEXT_WORDS):
        return ContextTooLong
    if status is None or not httpx2.codes.is_error(status):
        return BadUpstream
    if status in BY_STATUS:
        return BY_STATUS[status]
    return Unavailable if httpx2.codes.is_server_error(status) else UpstreamRejected


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from `retry-after-ms` or from Retry-After as seconds or a date (RFC 9110, 10.2.3).

    None where neither makes sense. `now` is a Unix time.
    """
    for header, parts_a_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(header, "")) / parts_a_second
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def broken_connection(server: str, cause: BaseException | None, detail: str) -> ProviderError:
    """The error of a connection that did not come about, or broke; `detail` is presentable."""
    # No name, no route, no TLS, no proxy. The only timeout set is the one for connecting.
    if isinstance(cause, httpx2.ConnectError | httpx2.TimeoutException | httpx2.ProxyError):
        return Unavailable(f"{server} cannot be reached: {detail or 'no connection in time'}")
    return BadUpstream(f"{server} broke the connection: {detail or 'it gave no reason'}")


def presentable(detail: str, secret: str | None) -> str:
    """A server's words as they may be shown: bounded, storable, and without the secret."""
    shown = detail.replace(secret, "***") if secret else detail
    return storable(shown)[:MAX_DETAIL_CHARACTERS]
