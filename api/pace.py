"""When to come again: an estimate from how fast waiting jobs begin."""

import random
from collections.abc import Callable

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
# What the last look counts against those before it.
NEWEST_SHARE = 0.5
# Whoever was refused at once should not come back at once.
JITTER = 0.25


class Pace:
    """How many jobs begin a second, smoothed, and how many were refused since it was last looked at."""

    def __init__(self, jitter: Callable[[float, float], float] = random.uniform) -> None:
        self._jitter = jitter
        self._rate = 0.0
        self._refused = 0

    def observe(self, begun: int, seconds: float) -> None:
        """So many jobs left the line in this time; fewer than none if other processes let more in."""
        if seconds <= 0:
            return
        self._rate += NEWEST_SHARE * (max(begun, 0) / seconds - self._rate)
        self._refused = 0

    def refuse(self) -> float:
        """Turn one more away; returns in how many seconds there may be a place for it.

        They are told to come one after the other, as fast as places become free: the hundredth that is
        refused where fifty jobs begin a second is told two seconds, give or take a quarter.
        """
        self._refused += 1
        seconds = self._refused / self._rate if self._rate > 0 else LONGEST_SECONDS / 2
        seconds *= self._jitter(1 - JITTER, 1 + JITTER)
        return min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
