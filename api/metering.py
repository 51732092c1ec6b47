"""What keys may use and what they used, for both planes: limits, slots a model, usage of the gateway."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.auth import Caller
from api.database import Database
from api.gateway.batched_usage import BatchedUsage
from api.gateway.limited import Limited
from common.admission.limiter import Limiter
from common.admission.shared import admission_redis
from common.admission.slots import Slots
from common.admission.spending import Spending
from common.background import keep_doing
from common.catalog.catalog import Catalog
from common.database import usage
from common.errors import ModelNotAllowed, ModelNotFound
from common.pricing import price_of


class Metering(Collector):
    """One a process; belongs to one event loop. Connects to nothing until something is asked of it."""

    def __init__(self, redis_url: str, database: Database, catalog: Callable[[], Catalog]) -> None:
        self._redis = admission_redis(redis_url)
        self._database = database
        self._catalog = catalog
        self._limiter = Limiter(self._redis, Spending(self._spent))
        self.admission = Limited(self._limiter, catalog)
        self.slots = Slots(self._redis, is_patient=False)
        self.usage = BatchedUsage(database)

    async def let_in(self, caller: Caller, asked: Sequence[str], *, besides: Sequence[str] = ()) -> None:
        """Count a submission of a job that asks these models, by their ids.

        `besides` are those of its pattern's stages: whoever wrote that chose them, so the key needs no leave to ask
        them, but it pays for them.

        It counts as a request, and needs a budget that is not spent, unless all of its models are free. What its
        calls come to is known as they end; tokens and parallel calls of jobs are not counted: their pace is the
        workers'.

        Raises:
            ModelNotAllowed: the key may not ask one of them.
            RateLimitExceeded, InsufficientQuota: not now.
        """
        limits = caller.limits
        for model in asked:
            if not limits.allow(model):
                raise ModelNotAllowed(model)
        limits = replace(limits, tokens_per_minute=None, parallel_calls=None)
        if not limits.is_metered:
            return
        cost = None if limits.budget_usd is not None and not self._are_free((*asked, *besides)) else 0.0
        held = await self._limiter.reserve(caller.owner, limits, tokens=0, cost_usd=cost)
        held.settle(tokens=0, cost_usd=0.0)

    async def keep(self) -> None:
        """Hold what is held, and write down what was used, for ever."""
        await asyncio.gather(keep_doing(self._limiter.keep), self.usage.keep())

    async def close(self) -> None:
        """Write down and give back what waits, as far as that goes quickly."""
        await self.usage.close()
        await self._limiter.close()
        await self.slots.close()
        await self._redis.aclose()

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is shown."""
        yield GaugeMetricFamily(
            "ultra_admission_shared",
            "1 while keys have their limits across all processes; 0 while Redis is away and each counts for itself.",
            value=self._limiter.is_shared,
        )
        refusals = CounterMetricFamily(
            "ultra_admission_refusals", "Requests that a limit of their key kept out.", labels=["limit"]
        )
        for limit, count in self._limiter.refusals.items():
            refusals.add_metric([limit], count)
        yield refusals
        yield GaugeMetricFamily(
            "ultra_usage_waiting", "Rows of usage that are not written yet.", value=self.usage.waiting
        )
        yield CounterMetricFamily("ultra_usage_dropped", "Rows of usage that are lost.", value=self.usage.dropped)

    def _are_free(self, models: Iterable[str]) -> bool:
        return all(self._is_free(model) for model in models)

    def _is_free(self, model: str) -> bool:
        try:
            price = price_of(self._catalog().resolve(model))
        except ModelNotFound:  # the submission will say so
            return False
        return price is not None and price.prompt_usd_per_million + price.completion_usd_per_million == 0

    async def _spent(self, owner: str, since: datetime) -> float:
        row = await self._database.first(usage.spent(owner, since))
        return float(row["usd"]) if row else 0.0
