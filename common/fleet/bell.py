"""Waking the lifecycle workers: 'somebody asked for a model, look into the rows'."""

import asyncio
import logging

from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from common.doorbell import BROKER_AWAY, send_reconcile
from common.ending import end
from common.errors import DependencyDown
from common.fleet.rows import Rows

# A process that stops waits no longer: they look by themselves every few seconds.
CLOSE_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Bell:
    """Rings from an event loop without ever blocking it. `app` is closed by its giver."""

    def __init__(self, app: Celery, rows: Rows) -> None:
        self._app = app
        self._rows = rows
        self._ringing: set[asyncio.Task[None]] = set()

    def ring(self, model: str) -> None:
        """Tell every living node, soon. Never raises: the row is the wish, and a ring that is lost costs seconds."""
        task = asyncio.create_task(self._ring(model))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def close(self) -> None:
        """Let what rings be heard, or give it up."""
        if self._ringing:
            _, late = await asyncio.wait(self._ringing, timeout=CLOSE_SECONDS)
            await end(late)

    async def _ring(self, model: str) -> None:
        try:
            await asyncio.to_thread(send_reconcile, self._app, model, await self._rows.nodes())
        except (*BROKER_AWAY, DependencyDown, SQLAlchemyError) as error:
            logger.warning("lifecycle workers not woken, they will look by themselves: %s", error)
