"""Work on a Postgres that may fall silent in the middle of it, bounded by our own clock."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

# Above the server's own limit of a statement (connect.py), which is of no use when the server is frozen or cut off.
STATEMENT_SECONDS = 35.0

Result = TypeVar("Result")


async def bounded(work: Coroutine[Any, Any, Result], seconds: float = STATEMENT_SECONDS) -> Result:
    """What the work comes to. Whoever is cancelled, or has waited long enough, does not wait for the driver's clean-up.

    That may hang for as long as the server does.

    Raises:
        TimeoutError: it took longer. It may have happened all the same.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeoutError(f"Postgres did not answer within {seconds:g} s.")
    return task.result()


def _abandon(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
