"""What an engine's process says before it ends is what explains the end: none of it may stop the listening."""

import asyncio
import sys
from collections import deque

import pytest

from runner.engines.llamacpp import follow

PATIENCE_SECONDS = 20.0


async def last_words(program: str) -> list[str]:
    """What is kept of what this program says on standard error."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=asyncio.subprocess.PIPE)
    said: deque[str] = deque(maxlen=3)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await follow(process, said)
        await process.wait()
    return list(said)


async def test_the_last_lines_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert await last_words("import sys; sys.stderr.write('a\\nb\\nc\\nno memory')") == ["b", "c", "no memory"]
    assert "no memory" in capsys.readouterr().err


async def test_a_line_of_any_length_does_not_stop_the_listening() -> None:
    # twice what asyncio keeps of a line, and more than a pipe holds: unread, it would stop who writes it
    assert (await last_words("import sys; sys.stderr.write('x' * 200_000 + '\\nno memory\\n')"))[-1] == "no memory"
