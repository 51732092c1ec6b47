"""Ready models that are not believed to be: their instance refused a call though its row calls it ready."""

from dataclasses import dataclass
from datetime import datetime

from common.fleet.contracts import Endpoint
from common.fleet.standing import Standing


@dataclass(slots=True)
class _Doubt:
    """What its node saw after `seen_at` is believed again; None until it was looked up what that is."""

    generation: int
    seen_at: datetime | None = None


class Doubts:
    """One a model, until its node has looked again, or another instance has taken its place."""

    def __init__(self) -> None:
        self._doubts: dict[str, _Doubt] = {}

    def begin(self, model: str, generation: int) -> None:
        """An instance of this generation has refused a call."""
        doubt = self._doubts.get(model)
        if doubt is None or doubt.generation < generation:
            self._doubts[model] = _Doubt(generation)

    def believed(self, standing: Standing) -> Endpoint | None:
        """Where the model answers, if that can be believed."""
        endpoint, doubt = standing.endpoint, self._doubts.get(standing.model)
        if endpoint is None or doubt is None:
            return endpoint
        if endpoint.generation <= doubt.generation:
            if doubt.seen_at is None:
                doubt.seen_at = standing.seen_at
            if standing.seen_at is None or doubt.seen_at is None or standing.seen_at <= doubt.seen_at:
                return None
        del self._doubts[standing.model]
        return endpoint
