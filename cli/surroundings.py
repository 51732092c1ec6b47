"""Where this machine's servers are: as the settings name them, else as a running `ultra up` wrote them down."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from cli.embedded.datadir import REPLACEABLE, DataDir, default_data_dir
from common.settings import Settings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`stack` is what the embedded stack of `data_dir` wrote down; None if it does not run."""

    settings: Settings
    data_dir: Path
    stack: Mapping[str, str] | None

    @property
    def is_stack_running(self) -> bool:
        return self.stack is not None

    def is_named(self, setting: str) -> bool:
        """Whether the user named this server; `ultra up` starts one otherwise."""
        return setting.lower() in self.settings.model_fields_set

    def find(self, setting: str) -> str | None:
        """The URL to use for DATABASE_URL, REDIS_URL or MODEL_RUNNER_URL; None if nothing says where."""
        if self.is_named(setting):
            value = getattr(self.settings, setting.lower())
            return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        return self.stack.get(setting) if self.stack else None

    def missing(self) -> dict[str, str]:
        """What an environment lacks to reach the servers of the running stack: those that the user did not name."""
        return {name: value for name in REPLACEABLE if not self.is_named(name) and (value := self.find(name))}


def look_around(settings: Settings, data_dir: Path | None = None) -> Surroundings:
    """Read the settings and the data directory; connects to nothing."""
    path = data_dir or default_data_dir(os.environ)
    try:
        stack = json.loads(DataDir(path).endpoints.read_text())
    except (OSError, ValueError):
        stack = None  # not running, or somebody else's directory
    return Surroundings(settings, path, stack)
