"""What a killed supervisor left behind: found by its records, and stopped before the next start.

The kernel ends the parts of a killed supervisor (`child.die_with`), so usually there is nothing left, or
Postgres is still shutting down. This is the second net: for the moments between, and for other systems.
"""

import json
import signal
from pathlib import Path

from cli.embedded.datadir import write_private
from cli.embedded.errors import CannotStart
from cli.embedded.processes import signal_if_alive, started_at, wait_until_gone, working_in

# Postgres gets a checkpoint's time to end by itself, then the same to end at once.
PATIENCE_SECONDS = 15.0


def record(path: Path, pids: dict[str, int]) -> None:
    """Note which processes run, so that `stop_recorded` can find them."""
    marks = {name: {"pid": pid, "started": started_at(pid)} for name, pid in pids.items()}
    write_private(path, json.dumps(marks))


def stop_recorded(path: Path) -> list[str]:
    """Stop the recorded processes that still run; returns their names. A pid that was reused is left alone.

    Raises:
        CannotStart: one of them cannot be stopped.
    """
    try:
        marks = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    alive = {
        name: mark["pid"]
        for name, mark in marks.items()
        if mark["started"] is not None and started_at(mark["pid"]) == mark["started"]
    }
    # SIGINT stops Postgres cleanly without waiting for its clients; SIGQUIT at once, to recover at the next start.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        left = wait_until_gone(alive.values(), 0)
        for pid in left:
            signal_if_alive(pid, number)
        if not wait_until_gone(left, PATIENCE_SECONDS):
            path.unlink()
            return sorted(alive)
    pids = ", ".join(map(str, alive.values()))
    raise CannotStart(f"Processes of an earlier start do not end ({pids}): choose another directory with --data-dir.")


def clear_postmaster_pid(cluster: Path) -> None:
    """Remove a lock file of Postgres that no process stands behind.

    Postgres refuses to start when another process has the pid in it by now, as happens after a container
    restarts. A process that does work in the cluster, a last backend say, is waited for.

    Raises:
        CannotStart: a foreign Postgres runs on these files.
    """
    lock = cluster / "postmaster.pid"
    if not lock.exists() or not Path("/proc/self/cwd").exists():
        return
    if left := wait_until_gone(working_in(cluster.resolve()), PATIENCE_SECONDS):
        raise CannotStart(f"Another Postgres (pid {left[0]}) runs on {cluster}: stop it first.")
    lock.unlink()
