"""Running the real command as a user would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.settings import Settings

ULTRA = Path(sys.executable).parent / "ultra"
PATIENCE_SECONDS = 60


def environment(home: Path, **settings: str) -> dict[str, str]:
    """A user's environment with these settings and no others, and a home of its own."""
    ours = {name.upper() for name in Settings.model_fields} | {"ULTRA_URL", "ULTRA_API_KEY"}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {"HOME": str(home), "XDG_DATA_HOME": str(home)} | settings


def ultra(home: Path, *arguments: str, stdin: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run to its end, in an empty directory, so that no .env is read."""
    return subprocess.run(
        [ULTRA, *arguments],
        cwd=home,
        env=environment(home, **settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def ultra_until(
    is_so: "Callable[[subprocess.CompletedProcess[str]], bool]", home: Path, *arguments: str, **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run again until it ended so, or patience does. For commands that give a server only moments to answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        ended = ultra(home, *arguments, **settings)
        if is_so(ended) or time.monotonic() > deadline:
            return ended


def doctor(
    home: Path, awaited: Mapping[str, str], *arguments: str, **settings: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit code and its findings by name, once those `awaited` are as they should be or patience has ended."""

    def is_so(ended: "subprocess.CompletedProcess[str]") -> bool:
        return {name: check["status"] for name, check in checks_of(ended).items()}.items() >= awaited.items()

    ended = ultra_until(is_so, home, "doctor", "--json", *arguments, **settings)
    return ended.returncode, checks_of(ended)


def checks_of(ended: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(ended.stdout)["checks"]}
