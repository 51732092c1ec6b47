"""What OpenAI-compatible servers do wrong, in our own words."""

from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Timeout,
    Unavailable,
    UpstreamModelMissing,
    UpstreamRejected,
)

# Enough of a server's words to understand the fault, too little to carry a page of HTML or a prompt.
MAX_DETAIL_CHARACTERS = 300
TOO_LONG_HINTS = (
    "context_length",
    "context length",
    "context size",
    "exceeds the available context",
    "too many tokens",
)
REFUSED_HINTS = ("content_filter", "content_policy", "content policy")


def translated(error: Exception, model: str) -> ProviderError:
    """Our error for one of the SDK's, of its transport's or of the JSON decoder's."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return Timeout(f"{model}: no connection in time.")
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, model)
    if isinstance(error, openai.APIConnectionError):
        return Unavailable(f"{model}: its server cannot be reached.")
    return BadUpstream(f"{model}: {_short(str(error)) or 'the answer broke off'}")


def _from_status(error: "openai.APIStatusError", model: str) -> ProviderError:  # type: ignore[name-defined]  # noqa: F821
    detail = _short(str(error.message))
    lowered = detail.lower()
    message = f"{model}: {detail}"
    status = error.status_code
    if any(hint in lowered for hint in TOO_LONG_HINTS):
        return ContextTooLong(message)
    if any(hint in lowered for hint in REFUSED_HINTS):
        return ContentRefused(message)
    if status == 429:  # noqa: PLR2004
        return RateLimited(message, retry_after_seconds=_retry_after(error.response.headers))
    if status == 404:  # noqa: PLR2004
        return UpstreamModelMissing(message)
    if status in (408, 504):
        return Timeout(message)
    if status >= 500:  # noqa: PLR2004
        return Unavailable(message, retry_after_seconds=_retry_after(error.response.headers))
    return UpstreamRejected(message)


def _retry_after(headers: "object") -> float | None:
    given = headers.get("retry-after-ms"), headers.get("retry-after")  # type: ignore[attr-defined]
    for value, scale in zip(given, (0.001, 1), strict=True):
        try:
            return max(0.0, float(value) * scale)
        except (TypeError, ValueError):
            continue  # absent, or a date: our own backoff will do
    return None


def _short(detail: str) -> str:
    return detail if len(detail) <= MAX_DETAIL_CHARACTERS else detail[:MAX_DETAIL_CHARACTERS] + "…"
