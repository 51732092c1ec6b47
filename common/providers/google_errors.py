"""What Google complains about, in our words.

Its errors name a status of `google.rpc.Code`, and carry details: `ErrorInfo` has a reason, `RetryInfo` says
how long to wait. Source: AIP-193, and google/rpc/error_details.proto of github.com/googleapis/googleapis.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from common.errors import (
    ContextTooLong,
    ProviderError,
    RateLimited,
    Unavailable,
    Unsupported,
    UpstreamDenied,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.providers import foreign_errors
from common.providers.foreign_errors import presentable, retry_after_seconds

# INVALID_ARGUMENT is missing: it is said of anything.
BY_NAME: dict[str, type[ProviderError]] = {
    "API_KEY_INVALID": UpstreamDenied,  # the reason of a 400
    "UNAUTHENTICATED": UpstreamDenied,
    "PERMISSION_DENIED": UpstreamDenied,
    "FAILED_PRECONDITION": UpstreamDenied,  # no billing, or a country that is not served
    "NOT_FOUND": UpstreamModelMissing,
    "RESOURCE_EXHAUSTED": RateLimited,
    "UNIMPLEMENTED": Unsupported,
    "UNAVAILABLE": Unavailable,
    "INTERNAL": Unavailable,
    "UNKNOWN": Unavailable,
    "ABORTED": Unavailable,
    "CANCELLED": Unavailable,
    "DEADLINE_EXCEEDED": Unavailable,  # its deadline, not ours
}

# What an INVALID_ARGUMENT says only in words. A model of a longer context takes larger requests, too.
TOO_LONG_WORDS = ("input token count", "payload size exceeds")


class _Detail(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    reason: str | None = None
    retry_delay: str | None = None


class _Error(BaseModel):
    message: str
    code: int | None = None
    status: str | None = None
    details: list[_Detail] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The reasons, which say most, then the status."""
        reasons = (detail.reason for detail in self.details)
        return tuple(name for name in (*reasons, self.status) if name)

    @property
    def retry_delay_seconds(self) -> float | None:
        """The wait that `RetryInfo` asks for, a Duration as in `34.5s`."""
        for detail in self.details:
            try:
                seconds = float((detail.retry_delay or "").removesuffix("s"))
            except ValueError:
                continue
            if math.isfinite(seconds) and seconds >= 0:
                return seconds
        return None


def error_in(document: object) -> object:
    """What a document has under `error`, or None. An error of a stream may stand in a list."""
    if isinstance(document, list) and document:
        document = document[0]
    return document.get("error") if isinstance(document, dict) else None


def classify(status: int | None, names: tuple[str, ...], detail: str) -> type[ProviderError]:
    """The class of an error: its names say most, then its words, then the HTTP status."""
    for name in names:
        if name in BY_NAME:
            return BY_NAME[name]
    if any(words in detail.lower() for words in TOO_LONG_WORDS):
        return ContextTooLong
    return foreign_errors.classify(status, names, detail)


@dataclass(frozen=True, slots=True)
class Complaints:
    """The errors of a server. Their messages are bounded, storable, and have no `secret` in them."""

    server: str
    secret: str | None = None

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error of a response that is one; of `body` its beginning will do."""
        try:
            said = error_in(json.loads(body))
        except (ValueError, RecursionError):
            said = None
        error = _read(said or body.decode(errors="replace"))
        patience = retry_after_seconds(headers, time.time())
        detail = presentable(error.message, self.secret)
        kind, advice = classify(status, error.names, detail), ""
        if status == httpx2.codes.NOT_FOUND and not error.names:
            kind, advice = UpstreamRejected, " (is GOOGLE_BASE_URL the address of a server of the Gemini API?)"
        return kind(
            f"{self.server} answered {status}: {detail}{advice}",
            retry_after_seconds=error.retry_delay_seconds if patience is None else patience,
        )

    def broke_off(self, said: object) -> ProviderError:
        """The error of a stream that began well; `said` is what `error_in` found."""
        error = _read(said)
        detail = presentable(error.message, self.secret)
        kind = classify(error.code, error.names, detail)
        return kind(f"{self.server} broke off: {detail}", retry_after_seconds=error.retry_delay_seconds)


def _read(said: object) -> _Error:
    """The error object; of anything else, what there is of it."""
    try:
        return _Error.model_validate(said)
    except ValidationError:
        text = said if isinstance(said, str) else json.dumps(said)
        return _Error(message=text or "nothing")
