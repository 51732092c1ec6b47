"""Whether this process slept a moment ago: a laptop that was closed, a paused container, SIGSTOP.

All deadlines that ran out in its sleep fire at once when it wakes, and say nothing about the servers it had asked.
"""

import asyncio

BEAT_SECONDS = 0.5
# A busy loop is late too; a server is not excused for that.
STALL_SECONDS = 2.0
# What fires late is worked off for a while.
AFTERMATH_SECONDS = 2.0


class Stalls:
    """Watches one event loop from its first question on, by a timer that should be punctual."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = 0.0
        self._over_at = 0.0

    def watch(self) -> None:
        """Begin, if it has not begun. To be called on the loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._wind()

    @property
    def is_recent(self) -> bool:
        """Whether the loop stands still no longer than a moment since it did."""
        if self._loop is None:
            return False
        now = self._loop.time()
        return now < self._over_at or self._is_late(now)

    def _wind(self) -> None:
        assert self._loop is not None
        self._due = self._loop.time() + BEAT_SECONDS
        self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        if self._is_late(now):
            self._over_at = now + AFTERMATH_SECONDS
        self._wind()

    def _is_late(self, now: float) -> bool:
        return now - self._due > STALL_SECONDS
