"""Ending tasks that would run for ever."""

import asyncio
from collections.abc import Iterable
from typing import Any

# Longer than an orderly end takes.
ASK_AGAIN_SECONDS = 1.0


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel the tasks and wait until they have ended, however they do.

    Asks again after a while: on Python 3.11 `asyncio.wait_for`, with which redis-py sends its commands, swallows a
    cancellation that comes as the wait ends (python/cpython#86296), and the task would go on for good.
    """
    every = list(tasks)
    left = set(every)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=ASK_AGAIN_SECONDS)
    await asyncio.gather(*every, return_exceptions=True)
