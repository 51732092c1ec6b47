"""The machine's memory: what its models may take together, and what is free just now."""

from dataclasses import dataclass
from pathlib import Path

from common.fleet.contracts import Host
from worker.lifecycle.template import Site

MEMINFO = Path("/proc/meminfo")
# The rest is for the system, the workers, and files worth keeping in memory.
DEFAULT_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class HostMemory:
    """`is_local`: the engine's machine is the one this worker sees, container or not."""

    limit_bytes: int
    is_local: bool = True
    meminfo: Path = MEMINFO

    def host(self, site: Site) -> Host:
        """The host, as it is now."""
        return Host(site.node, site.installation, self.limit_bytes, self._available_bytes())

    def _available_bytes(self) -> int | None:
        """What the kernel could hand out without swapping: proc(5), MemAvailable."""
        if not self.is_local:
            return None
        try:
            lines = self.meminfo.read_text().splitlines()
        except OSError:
            return None
        kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
        return None if kib is None else int(kib) * 1024


def default_limit_bytes(total_bytes: int) -> int:
    """What models may take of a machine, if nobody says."""
    return int(total_bytes * DEFAULT_SHARE)
