"""Work that goes on beside what a process is asked for, for as long as it lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

AFTER_A_FAULT_SECONDS = 1.0

logger = logging.getLogger(__name__)


async def keep_doing(step: Callable[[], Awaitable[None]], *, pause_seconds: float = 0.0) -> None:
    """Take the step again and again, with a pause after each.

    A fault of our own code is logged and the steps go on: a loop that ended unseen would look like a
    server where nothing happens.
    """
    while True:
        try:
            await step()
        except Exception:
            logger.exception("%s failed", getattr(step, "__qualname__", step))
            await asyncio.sleep(AFTER_A_FAULT_SECONDS)
        else:
            await asyncio.sleep(pause_seconds)
