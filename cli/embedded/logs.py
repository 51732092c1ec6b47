"""The log of each part: a file its process writes to directly, turned over at each start, bounded in size."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

KEPT_LOGS = 3
# Ten starts' worth of a chatty part; four files a part stay under 50 MB.
MAX_LOG_BYTES = 10_000_000
TAIL_BYTES = 16_384


def open_log(path: Path) -> int:
    """A descriptor to append to, after the older logs moved on: NAME.log to NAME.log.1 and so forth."""
    _turn_over(path)
    if path.exists():
        path.replace(_numbered(path, 1))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def bound(path: Path) -> None:
    """Cut a log that grew too long, while its process goes on writing to it.

    Lines written between the copy and the cut are lost: the price of not standing between a part and its log.
    """
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        _turn_over(path)
        with suppress(OSError):  # of a full disk; the cut makes room
            shutil.copyfile(path, _numbered(path, 1))
        os.truncate(path, 0)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines that are not blank; none if there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def _turn_over(path: Path) -> None:
    for number in range(KEPT_LOGS - 1, 0, -1):
        older = _numbered(path, number)
        if older.exists():
            older.replace(_numbered(path, number + 1))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
