"""Running the real command as a user would."""

import os
import subprocess
import sys
from pathlib import Path

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
