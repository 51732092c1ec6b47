"""Admission by the limits of the caller's key (docs/limits.md)."""

from collections.abc import Callable

from api.auth import Caller
from api.gateway.envelope import Header
from common.admission.limiter import NOTHING_HELD, Limiter, Reservation
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage
from common.contracts.models import Price
from common.errors import ModelNotAllowed, ModelNotFound
from common.pricing import price_of

MILLION = 1_000_000
# Ids that are no entry's and ad-hoc ones count too, so somebody may make them up.
MAX_PRICES = 1000


class Limited:
    """Lets a request in if its key may ask the model and has enough left of everything."""

    def __init__(self, limiter: Limiter, catalog: Callable[[], Catalog]) -> None:
        self._limiter = limiter
        self._catalog = catalog
        self._prices: dict[str, tuple[ModelEntry, Price | None]] = {}

    async def admit(self, caller: Caller, model_id: str, estimated_tokens: int) -> "Admitted":
        """Reserve for this request of the model of that catalog id.

        Raises:
            ModelNotAllowed: the key may not ask this model.
            RateLimitExceeded, InsufficientQuota: not now.
        """
        limits = caller.limits
        if not limits.allow(model_id):
            raise ModelNotAllowed(model_id)
        if not limits.is_metered:
            return _UNMETERED
        cost = self._cost(model_id, estimated_tokens) if limits.budget_usd is not None else 0.0
        held = await self._limiter.reserve(caller.owner, limits, tokens=estimated_tokens, cost_usd=cost)
        return Admitted(held)

    def _cost(self, model_id: str, tokens: int) -> float | None:
        """What so many tokens may cost; None where no price is known.

        All at the dearer price, as the estimate does not say which tokens they are: what was too much comes back
        when the request is over.
        """
        try:
            price = self._price(self._catalog().resolve(model_id))
        except ModelNotFound:  # a model that is none of the catalog's: what stands behind it may cost anything
            price = None
        if price is None:
            return None
        return tokens * max(price.prompt_usd_per_million, price.completion_usd_per_million) / MILLION

    def _price(self, entry: ModelEntry) -> Price | None:
        """Looked up once an entry, as it takes milliseconds; a changed catalog has other entries."""
        known = self._prices.get(entry.id)
        if known is None or known[0] is not entry:
            if len(self._prices) >= MAX_PRICES:
                self._prices.clear()
            known = self._prices[entry.id] = (entry, price_of(entry))
        return known[1]


class Admitted:
    """A request that was let in. Whoever holds one settles it once, whatever became of the request.

    `headers` are what the response says of the caller's limits: `x-ratelimit-*`.
    """

    def __init__(self, reservation: Reservation) -> None:
        self.headers: list[Header] = [(name.encode(), value.encode()) for name, value in reservation.headers.items()]
        self._reservation = reservation

    def settle(self, usage: Usage | None, cost_usd: float | None) -> None:
        """Give back what was reserved beyond this. Returns at once and never fails.

        None for a usage that nobody counted: what was reserved stands. A request that reached no model used `Usage()`.
        """
        if usage is None:
            self._reservation.settle(cost_usd=cost_usd)
            return
        tokens = usage.prompt_tokens + usage.completion_tokens
        # What used nothing cost nothing, whether or not its price is known.
        self._reservation.settle(tokens=tokens, cost_usd=cost_usd if tokens else 0.0)


# Of a key without limits: there is nothing to give back.
_UNMETERED = Admitted(NOTHING_HELD)
