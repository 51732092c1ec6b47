"""Cancellation that libraries swallow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def cancellable() -> AsyncIterator[None]:
    """Raise a cancellation that came within and was lost there.

    redis-py sends inside `asyncio.wait_for`, which on Python 3.11 drops one that arrives as it ends.
    """
    task = asyncio.current_task()
    assert task is not None
    cancellations = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > cancellations:
            raise asyncio.CancelledError
