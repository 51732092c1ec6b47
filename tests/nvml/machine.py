"""A machine with GPUs by script, for processes that load NVIDIA's library: `standin.c` in its place."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

SOURCE = Path(__file__).with_name("standin.c")


@dataclass(frozen=True, slots=True)
class Scripted:
    """A GPU of the script."""

    uuid: str
    total_bytes: int
    used_bytes: int = 0
    percent: int = 0
    is_lost: bool = False
    name: str = "Scripted GPU"


class Machine:
    """Hand `environment` to a process, and change what it finds with `has`."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "gpus"
        library = folder / "libnvidia-ml.so.1"
        compiler = shutil.which("cc") or _lacking("no C compiler")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, SOURCE], check=True, timeout=60
        )
        self.environment = {"LD_LIBRARY_PATH": str(folder), "NVML_SCRIPT": str(self._script)}

    def has(self, gpus: Sequence[Scripted]) -> None:
        """From now on these are its GPUs."""
        fresh = self._script.with_suffix(".new")
        fresh.write_text(
            "".join(
                f"{one.uuid} {one.total_bytes} {one.used_bytes} {one.percent} {'lost' if one.is_lost else 'ok'} "
                f"{one.name}\n"
                for one in gpus
            )
        )
        fresh.replace(self._script)


def _lacking(what: str) -> NoReturn:
    """Skip with the reason; in CI nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not skip: {what}")
    pytest.skip(what)
