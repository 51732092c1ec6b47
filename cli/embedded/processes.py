"""Which process is which: a pid alone is reused, a pid with its start time is not."""

import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

POLL_SECONDS = 0.02


def started_at(pid: int) -> str | None:
    """A mark of this very process, the same for as long as it lives; None if it is gone (or a zombie)."""
    if not Path("/proc/self/stat").exists():
        return _started_at_by_ps(pid)
    try:
        # The command's name may hold blanks and brackets, so count from the last bracket (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start_ticks = fields[0], fields[19]
    return None if state == "Z" else f"{_boot()}/{start_ticks}"


def working_in(directory: Path) -> list[int]:
    """The processes whose working directory this is; none where the system does not tell."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:  # another user's, or gone
            continue
    return found


def wait_until_gone(pids: Iterable[int], seconds: float) -> list[int]:
    """Wait for these processes to end, at most this long; returns those that have not."""
    deadline = time.monotonic() + seconds
    left = [pid for pid in pids if started_at(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = [pid for pid in left if started_at(pid)]
    return left


def signal_if_alive(pid: int, number: int) -> None:
    """Send a signal; a process that has just ended is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _started_at_by_ps(pid: int) -> str | None:
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
