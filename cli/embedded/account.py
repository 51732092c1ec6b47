"""Who runs Postgres: it refuses to run as root.

Its files may lie below directories that only root can enter (the virtual environment or the data directory
in root's home). Nothing of that is opened up: the process keeps one capability, to search and read.
"""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.errors import CannotStart

# Tried in this order; containers often lack the first, weaker capability and have the second.
READ_CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user, and the capability that its processes keep."""

    name: str
    uid: int
    gid: int
    capability: str | None

    def command_prefix(self, orphan_signal_name: str) -> tuple[str, ...]:
        """What to put before a command so that it runs as this user.

        Changing users clears the parent-death signal, so it is set here, after the change.
        """
        capabilities: tuple[str, ...] = ()
        if self.capability is not None:
            capabilities = (f"--inh-caps=-all,+{self.capability}", f"--ambient-caps=-all,+{self.capability}")
        return (
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            "--nnp",
            *capabilities,
            f"--pdeathsig={orphan_signal_name}",
            "--",
        )


def postgres_account(existing: Path) -> Account | None:
    """Who is to run Postgres when we are root: the owner of its files, else `postgres`, else `nobody`.

    None when we are an ordinary user, who runs it as themselves.

    Raises:
        CannotStart: we are root on a machine without such a user, or without `setpriv`.
    """
    if os.geteuid() != 0:
        return None
    if shutil.which("setpriv") is None:
        raise CannotStart("Postgres does not run as root, and setpriv (util-linux) is missing: use another user.")
    entry = _entry(existing)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, _capability())


def _entry(existing: Path) -> pwd.struct_passwd:
    try:
        owner = existing.stat().st_uid
        if owner != 0:
            return pwd.getpwuid(owner)
    except (FileNotFoundError, KeyError):
        pass
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise CannotStart("Postgres does not run as root, and there is no user postgres, nor nobody: use another user.")


def _capability() -> str | None:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    permitted = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapPrm:")), 0)
    return next((name for name, bit in READ_CAPABILITIES if permitted >> bit & 1), None)
