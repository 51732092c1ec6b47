"""What the openai SDK raises, in our words."""

import time
from collections.abc import Mapping

import httpx2
import openai

from common.errors import ProviderError
from common.providers.foreign_errors import broken_connection, classify, presentable, retry_after_seconds


def translated(
    error: openai.APIError | httpx2.RequestError, *, server: str, secret: str | None = None
) -> ProviderError:
    """The error in our tree. Its message is bounded, storable, and has no `secret` in it."""
    if isinstance(error, openai.APIStatusError):
        detail = presentable(_said(error), secret)
        kind = classify(error.status_code, (error.code, error.type), detail)
        return kind(
            f"{server} answered {error.status_code}: {detail}",
            retry_after_seconds=retry_after_seconds(error.response.headers, time.time()),
        )
    if isinstance(error, httpx2.RequestError | openai.APIConnectionError):
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        return broken_connection(server, cause, presentable(str(cause or error), secret))
    # An error object inside a stream that began well; llama.cpp puts the status into `code`.
    detail = presentable(_said(error), secret)
    status = int(error.code) if error.code and error.code.isdecimal() else None
    return classify(status, (error.code, error.type), detail)(f"{server} broke off: {detail}")


def _said(error: openai.APIError) -> str:
    """The server's own words: of an error object its message, else the body as text."""
    if isinstance(error.body, Mapping) and isinstance(error.body.get("message"), str):
        return str(error.body["message"])
    return error.body if isinstance(error.body, str) and error.body else error.message
