"""A claimed call on its way along its chain of models."""

from dataclasses import dataclass

from common.catalog.entry import ModelEntry
from common.contracts.calls import Answer, Attempt, ErrorDetail
from common.routing import Chain, Route
from worker.leases import Held
from worker.store import Claim


@dataclass(slots=True)
class Trip:
    """Where a claimed call is, and what it met. `entry` is the model to ask now."""

    held: Held
    chain: Chain
    entry: ModelEntry
    history: list[Attempt]
    has_asked: bool = False  # since the claim's token was drawn
    asked_at: float = 0.0  # of time.perf_counter
    retry_after_seconds: float | None = None

    @property
    def claim(self) -> Claim:
        """The claim with its latest token."""
        return self.held.claim

    @property
    def attempts(self) -> int:
        """Upstream requests so far, those of workers that fell silent among them."""
        return self.claim.attempt - self._unsent

    def route(self, entry: ModelEntry) -> Route:
        """What is stored when the call goes on elsewhere, with this model."""
        return Route(history=tuple(self.history), next=entry.id, unsent=self._unsent)

    def given_up(self) -> Answer:
        """The end of a call that nobody is left to ask for: the last error stands."""
        last = self.history[-1]
        return Answer(
            model=self.claim.model,
            status="failed",
            attempts=self.attempts,
            history=self.history,
            error=ErrorDetail(code=last.code, message=last.message),
        )

    @property
    def _unsent(self) -> int:
        return self.claim.route.unsent + (not self.has_asked)
