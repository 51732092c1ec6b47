"""A `docker` on a PATH of the test's own, and what was asked of it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

PROGRAM = Path(__file__).with_name("program.py")


class FakeDocker:
    """The command in its directory; `models` are those that have been pulled."""

    def __init__(self, directory: Path, models: Sequence[str] = ("ai/smollm2:latest", "ai/smollm2")) -> None:
        self.directory = directory
        self.path = directory / "docker"
        self.path.write_text(f"#!{sys.executable} -IS\n{PROGRAM.read_text()}")
        self.path.chmod(0o755)
        (directory / "models.json").write_text(json.dumps(list(models)))

    @property
    def command(self) -> tuple[str, ...]:
        return (str(self.path),)

    @property
    def models(self) -> list[str]:
        listed: list[str] = json.loads((self.directory / "models.json").read_text())
        return listed

    def suffers(self, condition: str) -> None:
        """`no plugin`, `no plugin, old docker`, or `not running`, from now on."""
        (self.directory / "condition").write_text(condition)

    def asked(self, command: str) -> list[dict[str, Any]]:
        """What was asked by this subcommand, oldest first."""
        try:
            lines = (self.directory / "journal").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [entry for entry in map(json.loads, lines) if entry["command"] == command]

    def is_over(self) -> bool:
        """Whether none of our processes is this command or one of its helpers, dead and not reaped included."""
        ours = psutil.Process().children(recursive=True)
        return not any(self._is_ours(process) for process in ours)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() == psutil.STATUS_ZOMBIE or str(self.path) in process.cmdline()
        except psutil.NoSuchProcess:
            return False
