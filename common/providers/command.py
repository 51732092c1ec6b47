"""A command of ours: what it prints as it prints it, and an end for it and for everything it started."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory, TemporaryFile

READ_BYTES = 64 * 1024
# Of what a command complains about, the beginning says it; the rest is read and forgotten.
MAX_COMPLAINT_BYTES = 8 * 1024
# Docker needs milliseconds to say goodbye to its plugin. A command that does not listen is not waited for.
GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `code` is negative where a signal ended it, as in `subprocess`."""

    code: int
    complaint: str


class RunningCommand:
    """A process that leads a group of its own, so that a signal finds its helpers too."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = process.stdout
        self._complaint = bytearray()
        self._listening = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def read(self) -> bytes:
        """More of its standard output, as soon as there is some; empty at the end."""
        return await self._output.read(READ_BYTES)

    async def ended(self) -> Ended:
        """Wait for its end, once `read` has come to the end of its output."""
        await self._listening
        return Ended(await self._process.wait(), self._complaint.decode(errors="replace"))

    async def stop(self) -> None:
        """End it and its helpers, if they have not ended by themselves; returns when it has been reaped.

        Takes no longer than twice GRACE_SECONDS, and as long even where whoever waits is cancelled once more.
        """
        if self._is_over():
            return
        ending = asyncio.create_task(self._end())
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _end(self) -> None:
        try:
            self._signal(signal.SIGTERM)
            await self._drain()
            if not self._is_over():
                self._signal(signal.SIGKILL)
                await self._drain()
        finally:
            if not self._is_over():  # a helper has left the group, out of reach, with our pipes
                self._signal(signal.SIGKILL)
                self._listening.cancel()
                self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  # no other way

    def _is_over(self) -> bool:
        """Whether nobody holds its pipes any more: a helper that outlived it would."""
        return self._process.returncode is not None and self._output.at_eof() and self._listening.done()

    async def _drain(self) -> None:
        """Wait a little for the end of both pipes, without which the event loop never calls the process finished."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                while await self._output.read(READ_BYTES):
                    pass
                await asyncio.shield(self._listening)
                await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(READ_BYTES):
            self._complaint += piece[: MAX_COMPLAINT_BYTES - len(self._complaint)]

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # all of them ended in this moment
            os.killpg(self._process.pid, number)


@asynccontextmanager
async def running(
    command: Sequence[str], *, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> AsyncGenerator[RunningCommand]:
    """Start a command, never through a shell; it is over, helpers and all, when the context is left.

    It runs in an empty directory, so that no relative path it meets names a file.

    Raises:
        OSError: it cannot be started; FileNotFoundError where there is no such command.
    """
    with TemporaryDirectory(prefix="ultra-", ignore_cleanup_errors=True) as nowhere, TemporaryFile() as told:
        # A file and not a pipe: it takes any length at once, and nobody has to stay to feed it.
        told.write(stdin)
        told.seek(0)
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *command,
                stdin=told,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=nowhere,
                env=environment,
                start_new_session=True,
            )
        )
        try:
            run = RunningCommand(await asyncio.shield(starting))
        except asyncio.CancelledError:
            # A start that is cancelled halfway leaves its pipes open. It takes milliseconds: see it through.
            with suppress(OSError):  # which it cannot be: then there is nothing to stop
                await RunningCommand(await starting).stop()
            raise
        try:
            yield run
        finally:
            await run.stop()
