"""Programs of npm for tests: brought once, into the user's cache, after a lock file."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL_SECONDS = 120


def installed(source: Path, npm: Sequence[str] = ("npm",)) -> Path:
    """A folder with the `node_modules` that the lock file in `source` asks for: of the user's cache, filled once.

    `npm` is the command. What cannot be brought is a reason to skip, and in CI to fail.
    """
    lock = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ultrallm-tests"
    home = cache / f"{source.name}-{lock}"
    if home.exists():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=cache))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, scratch)
        _bring(scratch, npm)
        with suppress(OSError):  # another session was faster, and brought the same
            scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return home


def _bring(home: Path, npm: Sequence[str]) -> None:
    command = [*npm, "ci", "--ignore-scripts", "--omit=peer", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        lacking(f"npm did not bring {home.name} within {INSTALL_SECONDS} s")
    if done.returncode != 0:
        lacking(f"npm cannot bring {home.name}: {done.stderr.strip()[-400:]}")


def lacking(what: str) -> NoReturn:
    """Skip with the reason; in CI nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not skip: {what}")
    pytest.skip(what)
