"""Servers that restart, forget, or have no space left."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.faults.field import Field
from tests.faults.history import History

PAUSE_SECONDS = (2.0, 5.0)
FULL_SECONDS = 10.0
# A thousand have to be there at the kill, and some see their job end while the load comes up.
READERS = 1100
BLOCK = b"\0" * 65_536


async def restart_broker(field: Field, times: int) -> None:
    """Valkey dies and comes back with what its append-only file has."""
    for number in range(times):
        field.say(f"broker restart {number + 1} of {times}")
        at = field.injecting()
        valkey = field.deployment.valkey
        if number % 2:
            valkey.process.kill()
        await valkey.process.restart()
        await valkey.ready()
        field.note("broker", at, over_at=time.time())
        await _resumed(field)


async def flush_broker(field: Field, times: int) -> None:
    """FLUSHALL: every message, every stream, every record of presence is gone."""
    for number in range(times):
        field.say(f"FLUSHALL {number + 1} of {times}")
        await field.loaded()
        field.note("flush", field.injecting())
        await field.deployment.valkey.flush()
        await asyncio.sleep(12)


async def restart_postgres(field: Field, times: int) -> None:
    """Postgres is stopped in immediate mode, stays away for a moment, and recovers from its log."""
    for number in range(times):
        field.say(f"Postgres restart {number + 1} of {times}")
        at = field.injecting()
        postgres = field.deployment.postgres
        postgres.stop_immediately()
        await postgres.process.ended()
        await postgres.ready()
        field.note("postgres", at, over_at=time.time())
        await _resumed(field)


async def kill_api(field: Field, times: int) -> None:
    """kill -9 of the API while a thousand readers follow the jobs."""
    for number in range(times):
        field.say(f"API kill {number + 1} of {times}: {field.readers.open} readers before")
        await _crowd(field)
        await field.loaded()
        field.say(f"API kill {number + 1} of {times}: {field.readers.open} readers")
        at = field.injecting()
        field.deployment.api.kill()
        await field.deployment.api.ended()
        async with asyncio.timeout(60):
            await asyncio.sleep(0.6)
            await field.deployment.listening(field.deployment.api_port)
        field.note("api", at, over_at=time.time())
        await _resumed(field)


async def _crowd(field: Field) -> None:
    """Wait until so many readers follow jobs that have not ended."""
    deadline = time.monotonic() + 30
    while field.readers.open < READERS and time.monotonic() < deadline:
        for job_id in list(field.submitter.acknowledged)[-100:]:
            if field.readers.open < READERS:
                field.readers.follow(job_id)
        await asyncio.sleep(0.5)


async def fill_postgres(field: Field, times: int) -> None:
    """The file system of Postgres runs full, and has space again a while later."""
    await _fill(field, times, field.deployment.postgres.directory.parent, "postgres full")


async def fill_valkey(field: Field, times: int) -> None:
    """The file system of Valkey runs full, and has space again a while later."""
    await _fill(field, times, field.deployment.valkey.directory.parent, "valkey full")


def submissions_were_refused(history: History) -> Iterator[str]:
    """The row tells nothing unless Postgres did run out of space and the API said so."""
    if not any(refusal.status == 503 for refusal in history.refusals):
        yield "no submission was answered 503"


async def _fill(field: Field, times: int, directory: Path, kind: str) -> None:
    ballast = directory / "ballast"
    for number in range(times):
        await field.loaded()
        field.say(f"{kind}: {number + 1} of {times}")
        at = field.injecting()
        filling = asyncio.create_task(_keep_full(ballast))
        await asyncio.sleep(FULL_SECONDS)
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        ballast.unlink()
        field.note(kind, at, over_at=time.time())
        await asyncio.sleep(10)


async def _keep_full(ballast: Path) -> None:
    """Take every byte that becomes free, so that the servers' own tidying does not help them."""
    with ballast.open("ab", buffering=0) as file:
        while True:
            with suppress(OSError):
                while os.write(file.fileno(), BLOCK):
                    pass
            with suppress(OSError):
                while os.write(file.fileno(), BLOCK[:512]):
                    pass
            await asyncio.sleep(0.05)


async def _resumed(field: Field) -> None:
    """A pause in which the load comes back."""
    await asyncio.sleep(field.rng.uniform(*PAUSE_SECONDS))
    await field.loaded(30)
