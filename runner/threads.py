"""How many threads compute well in this container."""

import math
import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def available_threads() -> int:
    """The processors this process may use: its affinity, and the container's CPU limit where it has one.

    More threads than that wait for each other, hundreds of times a token.
    """
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_MAX.read_text().split()
    except (OSError, ValueError):
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, math.ceil(int(quota) / int(period))))
