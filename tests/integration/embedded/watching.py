"""Looking at a stack from outside."""

import json
import time
from collections.abc import Callable
from pathlib import Path


def pids_of(data_dir: Path) -> dict[str, int]:
    """The processes of a running stack, by the names of their parts."""
    return {name: mark["pid"] for name, mark in json.loads((data_dir / "processes.json").read_text()).items()}


def until(is_so: Callable[[], object], what: str = "it", seconds: float = 30) -> None:
    """Wait until it is so; fail when patience ends."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.02)
