"""What this container's processes hold of its memory, and how much they may hold."""

import os
from pathlib import Path

MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(*pids: int) -> int:
    """Resident memory of these processes together; one that has ended counts nothing."""
    return sum(_resident(pid) for pid in pids)


def limit_bytes() -> int:
    """The least of the container's limit and the machine's memory."""
    machine = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
    try:
        limit = MEMORY_MAX.read_text().strip()
    except OSError:
        return machine
    return machine if limit == "max" else min(machine, int(limit))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
