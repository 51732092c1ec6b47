"""What the openai SDK raises, in our words."""

import re
import time
from collections.abc import Mapping

import httpx2
import openai

from common.errors import ProviderError
from common.providers.foreign_errors import broken_connection, classify, presentable, retry_after_seconds

STATUS = re.compile(r"[1-5][0-9]{2}")


def translated(
    error: openai.APIError | httpx2.RequestError, *, server: str, secret: str | None = None
) -> ProviderError:
    """The error in our tree. Its message is bounded, storable, and has no `secret` in it."""
    if isinstance(error, openai.APIStatusError):
        detail = presentable(_said(error), secret)
        kind = classify(error.status_code, _names(error), detail)
        return kind(
            f"{server} answered {error.status_code}: {detail}",
            retry_after_seconds=retry_after_seconds(error.response.headers, time.time()),
        )
    if isinstance(error, httpx2.RequestError | openai.APIConnectionError):
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        return broken_connection(server, cause, presentable(str(cause or error), secret))
    # An error object inside a stream that began well; llama.cpp puts the status into `code`.
    detail = presentable(_said(error), secret)
    status = int(error.code) if error.code and STATUS.fullmatch(error.code) else None
    return classify(status, _names(error), detail)(f"{server} broke off: {detail}")


def _names(error: openai.APIError) -> tuple[str | None, ...]:
    """Its code and type. The SDK hands on whatever JSON stands in the place of a type."""
    return error.code, error.type if isinstance(error.type, str) else None


def _said(error: openai.APIError) -> str:
    """The server's own words: of an error object its message, else the body as text."""
    if isinstance(error.body, Mapping) and isinstance(error.body.get("message"), str):
        return str(error.body["message"])
    return error.body if isinstance(error.body, str) and error.body else error.message
