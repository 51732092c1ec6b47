"""The data directory: where everything of a stack lies, and who may use it.

| entry            | what it is |
| ---------------- | ---------- |
| `lock`           | held by the one `ultra up` that uses the directory; names its pid |
| `secrets.json`   | passwords of Postgres and Valkey, made once |
| `endpoints.json` | where the parts of the running stack are reached |
| `processes.json` | the running parts, so that the next start finds what a killed one left behind |
| `logs/`          | a log a part |
| `postgres/`      | the cluster and its socket, owned by whoever runs Postgres |
| `valkey/`        | the append-only file |
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.errors import CannotStart

# The settings that name servers: who names one has it used in the place of ours.
REPLACEABLE = ("DATABASE_URL", "REDIS_URL", "MODEL_RUNNER_URL")


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """Where the XDG base directory specification wants it."""
    home = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "ultrallm"


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths; nothing is made before `prepared` and `locked`."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def endpoints(self) -> Path:
        return self.path / "endpoints.json"

    @property
    def processes(self) -> Path:
        return self.path / "processes.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directory if need be, and hold it against a second stack.

        The lock goes with the process, however that ends, so it is never stale.

        Raises:
            CannotStart: the directory cannot be written to, or another stack uses it.
        """
        try:
            for directory in (self.path, self.logs, self.valkey):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotStart(
                f"Cannot write to the data directory {self.path} ({error.strerror}): choose another with --data-dir."
            ) from error
        try:
            self._take(lock)
            yield
        finally:
            os.close(lock)

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(lock, 32).decode().strip() or "unknown"
            raise CannotStart(
                f"Another `ultra up` (pid {holder}) uses the data directory {self.path}:"
                " stop it, or choose another with --data-dir."
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

    def secret(self, name: str) -> str:
        """The password of this name, the same at every start of this directory."""
        path = self.path / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in known:
            known[name] = secrets.token_urlsafe(24)
            write_private(path, json.dumps(known))
        return known[name]


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; readers see the old text or the new, never half of it."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
