"""Writing to a Postgres that may be away for a while."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from common.database.faults import is_of_a_row

# How long what a call came to is kept in hand while Postgres is away; its lease is long gone by then.
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.5

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


async def patiently(write: Callable[[], Awaitable[Result]]) -> tuple[Result, bool]:
    """What `write` returned, as soon as Postgres did it, and whether it may have done it before already.

    It may: the reply of a commit can be what got lost.

    Raises:
        SQLAlchemyError, OSError: Postgres refuses this row, or is still away after PATIENCE_SECONDS.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    is_repeated = False
    while True:
        try:
            return await write(), is_repeated
        except (SQLAlchemyError, OSError) as error:
            if is_of_a_row(error) or time.monotonic() > deadline:
                raise
            logger.warning("Postgres is away, will try again: %s", error)
        is_repeated = True
        await asyncio.sleep(PAUSE_SECONDS)
