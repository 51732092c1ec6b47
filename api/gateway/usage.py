"""What requests came to, for whoever writes it down."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from common.contracts.calls import Usage

# Of the request that is being served: a council's questions are many rows of one.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


@dataclass(slots=True)
class UsageRow:
    """One request, ended. Times are milliseconds from the request's first byte.

    `model` and `served_by` are catalog ids; `served_by` is None where nobody answered. `usage` is None where the
    server did not count, `cost_usd` where no price is known.
    """

    owner: str
    kind: Literal["chat", "completion", "embedding"]
    model: str
    status: Literal["completed", "failed", "cancelled"]
    served_by: str | None = None
    provider: str | None = None
    error_code: str | None = None
    usage: Usage | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float = 0.0
    time_to_first_token_ms: float | None = None
    attempts: int = 0
    request_id: str | None = None
