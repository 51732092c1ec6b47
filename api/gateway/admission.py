"""Whether a request may be served now: the limits of its caller, and room at its model."""

from collections.abc import Sequence
from typing import Protocol

from api.auth import Caller
from common.contracts.calls import Usage

Headers = Sequence[tuple[bytes, bytes]]


class Admitted(Protocol):
    """A request that was let in. Whoever holds one settles it once, whatever became of the request."""

    @property
    def headers(self) -> Headers:
        """What the response says of the caller's limits: `x-ratelimit-*`."""
        ...

    def settle(self, usage: Usage | None, cost_usd: float | None) -> None:
        """Give back what was reserved beyond this. Returns at once and never fails.

        None for a usage that nobody counted: what was reserved stands. A request that reached no model used `Usage()`.
        """
        ...


class Admission(Protocol):
    """Lets requests in."""

    async def admit(self, caller: Caller, model_id: str, estimated_tokens: int) -> Admitted:
        """Reserve for this request of the model of that catalog id.

        Raises:
            AppError: not now (`Busy`, with when to come back), or not at all (`Forbidden`).
        """
        ...


class Unlimited:
    """Lets everybody in."""

    async def admit(self, caller: Caller, model_id: str, estimated_tokens: int) -> Admitted:  # noqa: ARG002
        """See `Admission.admit`."""
        return _FREE


class _Free:
    headers: Headers = ()

    def settle(self, usage: Usage | None, cost_usd: float | None) -> None:
        """See `Admitted.settle`."""


_FREE = _Free()
