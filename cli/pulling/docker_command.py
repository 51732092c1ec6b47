"""`docker model pull`, for machines where the Model Runner's API has no port."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Sequence

from cli.pulling.model_runner import LIBRARY
from cli.pulling.names import is_same
from cli.pulling.ndjson_api import SILENCE_SECONDS, presentable
from cli.pulling.puller import Progress
from common.errors import Timeout
from common.providers.docker_model import DockerModel, complaint
from common.providers.model_runner_cli import ModelRunnerCli

# As the command prints it where its output is no terminal: decimal units, two digits.
DOWNLOADED = re.compile(r"Downloaded ([\d.]+) ?([kMGT]?B) of ([\d.]+) ?([kMGT]?B)")
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
MAX_LINE_BYTES = 4096


class DockerPuller:
    """See `Puller`. Has the whole environment: a registry may ask for a token of it."""

    def __init__(self, command: Sequence[str] = ("docker",)) -> None:
        self._docker = DockerModel(command, os.environ)
        self._listing = ModelRunnerCli(command)

    async def has(self, name: str) -> bool:
        """See `Puller.has`."""
        return any(is_same(name, tag, LIBRARY) for tag in await self._listing.list_models())

    async def pull(self, name: str) -> AsyncGenerator[Progress]:
        """See `Puller.pull`."""
        last = Progress()
        line = b""
        try:
            async with self._docker.running("pull", "--", name) as run:
                while True:
                    async with asyncio.timeout(SILENCE_SECONDS):
                        piece = await run.read()
                    if not piece:
                        break
                    *lines, line = (line + piece).replace(b"\r", b"\n").split(b"\n")
                    line = line[-MAX_LINE_BYTES:]
                    for whole in lines:
                        last = progress_of(whole.decode(errors="replace"), last)
                        yield last
                async with asyncio.timeout(SILENCE_SECONDS):
                    ended = await run.ended()
        except TimeoutError:
            raise Timeout(f"`docker model pull` said nothing for {SILENCE_SECONDS:g} s.") from None
        if ended.code != 0:
            raise complaint(ended)

    async def close(self) -> None:
        """See `Puller.close`. The process ends with the pull."""


def progress_of(line: str, last: Progress) -> Progress:
    """What a line of the command's says; one without numbers is a note."""
    if told := DOWNLOADED.search(line):
        done, done_unit, total, total_unit = told.groups()
        return Progress(_bytes(done, done_unit), _bytes(total, total_unit) or None)
    return Progress(last.done_bytes, last.total_bytes, presentable(line))


def _bytes(number: str, unit: str) -> int:
    try:
        return int(float(number) * UNITS[unit])
    except ValueError:  # `1.2.3`
        return 0
