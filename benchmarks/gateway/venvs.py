"""Virtual environments for programs that are measured or measure, and are no dependencies of ours.

They are kept under the user's cache directory, one a lock file, and made again when the lock changes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALL_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Venv:
    directory: Path

    def program(self, name: str) -> Path:
        return self.directory / "bin" / name


def made_from(lock: Path) -> Venv:
    """The environment that this lock file describes; made if there is none, which may take minutes.

    Raises:
        RuntimeError: it cannot be made; the message is the end of what the installer said.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ultrallm" / "benchmarks"
    venv = Venv(cache / f"{lock.stem}-{digest}")
    whole = venv.directory / ".whole"
    if whole.exists():
        return venv
    shutil.rmtree(venv.directory, ignore_errors=True)
    venv.directory.parent.mkdir(parents=True, exist_ok=True)
    uv = str(Path(sys.executable).parent / "uv")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(venv.directory)])
    python = str(venv.program("python"))
    _run([uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--requirements", str(lock)])
    whole.touch()
    return venv


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
