"""CPU time of every process of both systems and of the servers that they share, while a figure is taken."""

from collections.abc import Callable
from contextlib import suppress

import psutil

from benchmarks.cpu import cpu_seconds, spent
from benchmarks.systems import System

SERVERS = {"postgres": "postgres", "valkey-server": "valkey"}


class Meter:
    """Takes figures and remembers the CPU milliseconds each cost a unit of work, by system and process."""

    def __init__(self) -> None:
        self._servers = _servers()
        self.spent: dict[str, dict[str, dict[str, float]]] = {}

    def take(self, title: str, system: System, units: Callable[[float], float], measure: Callable[[], float]) -> float:
        """Run `measure`; `units` says of its result how many units of work it stands for."""
        roots = {**system.processes.pids, **self._servers}
        before = cpu_seconds(roots)
        value = measure()
        seconds = spent(before, cpu_seconds(roots))
        total = units(value)
        self.spent.setdefault(title, {})[system.name] = {
            name.removeprefix(f"{system.name}-"): 1000 * used / total for name, used in seconds.items()
        }
        return value


def _servers() -> dict[str, int]:
    """Our own descendants that are database and broker: the roots of their trees."""
    found: dict[str, int] = {}
    # parents come before their children, so the first of a name is the root
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # Postgres starts and ends processes of its own all the time
            name = SERVERS.get(process.name())
            if name is not None:
                found.setdefault(name, process.pid)
    return found
