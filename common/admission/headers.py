"""What a client is told of its key's limits: the header names and the spelling of times are OpenAI's."""

from collections.abc import Mapping
from types import MappingProxyType

from common.admission.operations import NONE, RefusedBy, Reserve, Verdict

SECOND = 1000  # milliseconds

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def headers_of(asked: Reserve, verdict: Verdict) -> Mapping[str, str]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, of those limits that the key has.

    A refusal by the budget also tells clients that wait and try again by themselves not to: `x-should-retry`.
    """
    told = {}
    if asked.requests_limit != NONE:
        told["x-ratelimit-limit-requests"] = str(asked.requests_limit)
        told["x-ratelimit-remaining-requests"] = str(verdict.requests_left)
        told["x-ratelimit-reset-requests"] = duration(verdict.requests_reset)
    if asked.tokens_limit != NONE:
        told["x-ratelimit-limit-tokens"] = str(asked.tokens_limit)
        told["x-ratelimit-remaining-tokens"] = str(verdict.tokens_left)
        told["x-ratelimit-reset-tokens"] = duration(verdict.tokens_reset)
    if verdict.refused_by == RefusedBy.BUDGET:
        told["x-should-retry"] = "false"
    return told or NO_HEADERS


def duration(milliseconds: int) -> str:
    """`0s`, `250ms`, `12.5s`, `1m1s`."""
    if 0 < milliseconds < SECOND:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60 * SECOND)
    seconds = f"{rest / SECOND:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
