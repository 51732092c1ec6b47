"""A value made from files, made anew when they change."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from common.background import keep_doing
from common.errors import ConfigError

# A stat of two files costs microseconds; nobody who saves a file waits longer than this for it.
LOOK_SECONDS = 1.0

Value = TypeVar("Value")
Stamp = tuple[int, int, int]

logger = logging.getLogger(__name__)


class Reloaded(Generic[Value]):
    """`value` is what `load` made of the files as they last were in order.

    A broken edit leaves `value` as it is and is told by `fault`, one line, until a good edit clears it.
    Files are looked at by their name each time, so one that was replaced by a rename, or by moving a symbolic
    link as Kubernetes does, counts as changed; one that is not there is for `load` to complain about.
    """

    def __init__(
        self, load: Callable[[], Value], files: Sequence[Path], *, after: "Reloaded[Any] | None" = None
    ) -> None:
        """Load the value. `files[0]` gives it its name; `after` is another value that this one is made from.

        Raises:
            ConfigError: as `load` does.
        """
        self._load = load
        self._files = tuple(file.absolute() for file in files)
        self._after = after
        self._made_from = self._origin()
        self.value = load()
        self.fault: str | None = None

    @property
    def file(self) -> Path:
        return self._files[0]

    def current(self) -> Value:
        """The value, for those who are handed a function."""
        return self.value

    def is_broken(self) -> bool:
        """Whether the last edit is wrong, and the one before it in force."""
        return self.fault is not None

    async def keep(self) -> None:
        """Look for ever, in a thread: neither a slow disk nor a long file holds up the loop."""
        await keep_doing(self._look_aside, pause_seconds=LOOK_SECONDS)

    def look(self) -> None:
        """Load anew if something changed. Blocks for as long as that takes, and never raises."""
        origin = self._origin()
        if origin == self._made_from:
            return
        value, fault = self._attempt()
        if self._origin() != origin:
            return  # written while we read: what we have is neither the old nor the new
        self._made_from = origin
        if fault is None:
            self.value = value  # type: ignore[assignment]  # there is one where there is no fault
            logger.info("%s: changed, and in force", self.file)
        else:
            logger.error("%s; what was in force before stays so", fault)
        self.fault = fault

    async def _look_aside(self) -> None:
        await asyncio.to_thread(self.look)

    def _attempt(self) -> tuple[Value | None, str | None]:
        try:
            return self._load(), None
        except ConfigError as error:
            return None, error.message
        except Exception as error:
            logger.exception("reading %s failed in our own code", self.file)
            return None, f"{self.file}: cannot be read ({type(error).__name__}; the log says more)"

    def _origin(self) -> tuple[object, ...]:
        """What the value is made from, cheap to compare."""
        before = self._after.value if self._after is not None else None
        return (before, *(stamp(file) for file in self._files))


def stamp(file: Path) -> Stamp | None:
    """Another one whenever the file is another; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
