"""CPU seconds and memory of process trees, from /proc."""

from collections.abc import Mapping
from pathlib import Path

import psutil


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """User plus system time that each named process and its descendants have used, dead ones included."""
    return {name: sum(_seconds(process) for process in tree(pid)) for name, pid in roots.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after}


def pss_megabytes(pid: int) -> float:
    """Proportional set size: shared pages are divided among those who map them, so sums add up."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    [kilobytes] = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
    return int(kilobytes) / 1024


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _seconds(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:  # reaped since the listing: its parent's children_* has it now
        return 0.0
    return float(used.user + used.system + used.children_user + used.children_system)
