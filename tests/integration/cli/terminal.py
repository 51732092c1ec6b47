"""A person at a terminal: types keys, and waits for words on the screen."""

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.integration.cli.ultra import PATIENCE_SECONDS, ULTRA, environment

DOWN, ENTER, CTRL_C, CTRL_D = "\x1b[B", "\r", "\x03", "\x04"
# Runs a command in a pseudo-terminal of its own and passes on what is typed and what it shows.
IN_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>78])")


class Terminal:
    """`ultra` with these arguments in a terminal of 80 by 24; `screen` is all it ever showed, escapes taken out."""

    def __init__(self, home: Path, *arguments: str, **settings: str) -> None:
        self.screen = ""
        self._seen = 0
        # no terminal of ours answers where its cursor is
        plain = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "80", "LINES": "24"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, ULTRA, *arguments],
            cwd=home,
            env=environment(home, **plain, **settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def press(self, keys: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(keys.encode())

    def wait_for(self, words: str) -> None:
        """Until these words are shown, after those that were waited for before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.screen[self._seen :]:
            assert time.monotonic() < deadline, f"no {words!r} in:\n{self.screen}"
            assert self._read(1.0), f"ended without {words!r}:\n{self.screen}"
        self._seen = self.screen.index(words, self._seen) + len(words)

    def exit_code(self) -> int:
        """Read to the end and wait."""
        while self._read(PATIENCE_SECONDS):
            pass
        return self._process.wait(PATIENCE_SECONDS)

    def _read(self, seconds: float) -> bool:
        """Take in what comes within so long; False at its end."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not ready:
            return True
        shown = os.read(self._process.stdout.fileno(), 65_536)
        self.screen = _ESCAPES.sub("", self.screen + shown.decode(errors="replace"))
        return bool(shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            self._process.terminate()
