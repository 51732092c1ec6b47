"""What Anthropic complains about, in our words."""

import time

import anthropic
import httpx2

from common.errors import (
    ContextTooLong,
    ProviderError,
    RateLimited,
    Unavailable,
    UpstreamDenied,
    UpstreamModelMissing,
)
from common.providers import foreign_errors
from common.providers.foreign_errors import broken_connection, presentable, retry_after_seconds

# `error.details.error_code` and `error.type`. `invalid_request_error` is missing: it is said of anything.
BY_NAME: dict[str, type[ProviderError]] = {
    # Said with a 429, and no patience of ours outlasts a month.
    "contract_spend_limit_reached": UpstreamDenied,
    "enforced_spend_limit_reached": UpstreamDenied,
    "organization_on_hold": UpstreamDenied,
    "authentication_error": UpstreamDenied,
    "billing_error": UpstreamDenied,
    "permission_error": UpstreamDenied,
    "not_found_error": UpstreamModelMissing,
    "request_too_large": ContextTooLong,
    "rate_limit_error": RateLimited,
    "timeout_error": Unavailable,
    "api_error": Unavailable,
    "overloaded_error": Unavailable,
}

# What a 400 of type `invalid_request_error` says only in words.
BY_WORDS: dict[str, type[ProviderError]] = {
    "prompt is too long": ContextTooLong,
    "exceed context limit": ContextTooLong,
    "credit balance is too low": UpstreamDenied,
}


def classify(status: int | None, names: tuple[str | None, ...], detail: str) -> type[ProviderError]:
    """The class of an error: its code and type say most, then its words, then the HTTP status.

    `status` is None for an error inside a stream that began well.
    """
    for name in names:
        if name in BY_NAME:
            return BY_NAME[name]
    for words, kind in BY_WORDS.items():
        if words in detail.lower():
            return kind
    return foreign_errors.classify(status, names, detail)


def translated(
    error: anthropic.APIError | httpx2.RequestError, *, server: str, secret: str | None = None
) -> ProviderError:
    """The error in our tree. Its message is bounded, storable, and has no `secret` in it."""
    if isinstance(error, anthropic.APIStatusError):
        detail = presentable(_said(error), secret)
        names = error.error_code, _text(error.type)
        if httpx2.codes.is_success(error.status_code):
            return classify(None, names, detail)(f"{server} broke off: {detail}")
        return classify(error.status_code, names, detail)(
            f"{server} answered {error.status_code}: {detail}",
            retry_after_seconds=retry_after_seconds(error.response.headers, time.time()),
        )
    cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
    if isinstance(cause, httpx2.LocalProtocolError):
        # It quotes the header, in Python's spelling, where a secret is hard to find.
        return UpstreamDenied(f"{server} cannot be sent this request: its key has characters that no key has.")
    return broken_connection(server, cause, presentable(str(cause or error), secret))


def _said(error: anthropic.APIStatusError) -> str:
    """The server's own words: the message of an error object, else the body as text."""
    return _text(error.api_message) or _text(error.body) or error.message


def _text(value: object) -> str | None:
    """The SDK hands on whatever JSON stands in the place of a string."""
    return value if isinstance(value, str) and value else None
