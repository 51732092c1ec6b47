"""What a server that is not ours tells of its work: vLLM's counters, read as Prometheus reads them.

Ours counts its calls itself. vLLM says how many run and wait, and how many tokens there ever were: when that last
changed, a call was there. Of a server without such counters nothing is known, and it is never taken for idle.
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
# Each grows with every call, however short: seen between two looks, too.
EVER = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")

_SAMPLE = re.compile(
    rf"^({'|'.join((RUNNING, WAITING, *EVER))})(?:\{{[^}}]*\}})? (\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Work:
    """Calls that run and wait, and tokens so far."""

    in_flight: int
    waiting: int
    tokens: float


def work_of(metrics: str) -> Work | None:
    """What a page of metrics says; None if it has no such counters, or what they say is no number of anything."""
    sums: dict[str, float] = {}
    for name, value in _SAMPLE.findall(metrics):
        sums[name] = sums.get(name, 0.0) + float(value)
    if RUNNING not in sums or not all(map(math.isfinite, sums.values())):
        return None
    tokens = sum(sums.get(name, 0.0) for name in EVER)
    return Work(int(sums[RUNNING]), int(sums.get(WAITING, 0.0)), tokens)


class Idling:
    """Since when a server has had nothing to do, from looks at its counters. A restart of ours begins anew from 0."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, float]] = {}

    def seconds(self, server: str, work: Work) -> float | None:
        """For how long it has been idle; None while it works."""
        now = self._clock()
        tokens, since = self._seen.get(server, (None, now))
        if work.in_flight or work.waiting or tokens != work.tokens:
            since = now
        self._seen[server] = (work.tokens, since)
        return None if work.in_flight or work.waiting else now - since

    def forget_all_but(self, there: set[str]) -> None:
        """Servers that are gone are nobody's concern any more."""
        self._seen = {server: seen for server, seen in self._seen.items() if server in there}
