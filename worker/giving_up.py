"""The end of a worker that consumes nothing: whoever keeps it up starts another."""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

# EX_TEMPFAIL of sysexits.h: nothing that was asked of it is at fault, starting it again may help.
GAVE_UP = 75
# However long a drain may take, a worker whose loop stands still has no calls to wait for.
LONGEST_DRAIN_SECONDS = 30.0
PUTTING_BACK_SECONDS = 2.0

logger = logging.getLogger(__name__)


def give_up(reason: str, *, drain: Callable[[], None], drain_seconds: float, in_flight: Callable[[], int]) -> NoReturn:
    """End this process with GAVE_UP, whatever its other threads are at.

    Calls in flight may end within the drain time, and the others go back to the queue, if the loop still
    turns; if not, their leases run out. Where the consumer stands is logged first, the reason last.
    """
    seconds = min(drain_seconds, LONGEST_DRAIN_SECONDS) + PUTTING_BACK_SECONDS
    # Whatever holds the consumer may hold the log as well, or the loop.
    last_resort = threading.Timer(seconds + PUTTING_BACK_SECONDS, os._exit, (GAVE_UP,))
    last_resort.daemon = True
    last_resort.start()
    main = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001  # the one way to see it
    logger.error("the consumer is here:\n%s", "".join(traceback.format_stack(main)))
    drain()
    deadline = time.monotonic() + seconds
    while in_flight() and time.monotonic() < deadline:
        time.sleep(0.1)
    logger.critical("%s; giving up, for another to take over", reason)
    os._exit(GAVE_UP)
