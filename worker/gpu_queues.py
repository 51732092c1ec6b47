"""Which queue a call goes to: that of the GPU which holds its model, while a worker is there for it."""

import logging
from collections.abc import Callable, Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from common.background import keep_doing
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.catalog.local import LocalModel
from common.fleet.contracts import Endpoint
from common.fleet.queues import consumed, queue_for
from common.fleet.rows import Rows
from common.presence import PINNED_TO, consumers

LOOK_SECONDS = 2.0

logger = logging.getLogger(__name__)


class GpuQueues:
    """What is known of GPUs and their workers, at most some seconds old.

    No call is lost to what has changed since: any worker can make it, and what lies in the queue of a GPU whose
    worker has gone is rung for at `local` by the sweep. `own` is the queue of a GPU's worker itself, which makes the
    local calls that it is sent: two that see the fleet at different moments would pass them to and fro.
    """

    def __init__(self, catalog: Callable[[], Catalog], redis: "Redis", rows: Rows, *, own: str | None = None) -> None:
        self._catalog = catalog
        self._redis = redis
        self._rows = rows
        self._own = own
        self._queues: Mapping[str, str] = {}
        self._endpoints: Mapping[str, Endpoint] = {}

    def queue_of(self, entry: ModelEntry) -> str:
        """Where a call to this model is to be made."""
        if self._own is not None and entry.local:
            return self._own
        return queue_for(entry, self._endpoints.get(entry.id), self._queues)

    def consumed(self, queue: str) -> str:
        """This queue, or `local` where it is a GPU's and nobody consumes it any more."""
        return consumed(queue, self._queues)

    async def keep(self) -> None:
        """Look again and again; what was seen last stays while Redis or Postgres is away."""
        await keep_doing(self._look_if_possible, pause_seconds=LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. Nobody is asked anything where the catalog has no model for a GPU, or no worker has a GPU.

        Raises:
            RedisError, SQLAlchemyError, OSError: Redis or Postgres is away.
        """
        models = [entry.id for entry in on_gpus(self._catalog())]
        pinned = [one for one in await consumers(self._redis) if one.get(PINNED_TO)] if models else []
        queues = {worker[PINNED_TO]: worker["queues"][0] for worker in pinned}
        standings = await self._rows.look(models) if queues else {}
        self._endpoints = {one.model: one.endpoint for one in standings.values() if one.endpoint is not None}
        self._queues = queues

    async def _look_if_possible(self) -> None:
        try:
            await self.look()
        except (RedisError, SQLAlchemyError, OSError) as error:
            logger.debug("no look at the queues of GPUs: %s", error)


def on_gpus(catalog: Catalog) -> list[LocalModel]:
    """The models that may be placed on a GPU."""
    return [entry for entry in catalog.entries.values() if isinstance(entry, LocalModel) and entry.gpu != "none"]
