"""A process that slept does not blame servers for it. The loop's clock jumps here as a sleeper's does."""

import asyncio
from collections.abc import Iterator

import pytest

from common.stalls import AFTERMATH_SECONDS, BEAT_SECONDS, STALL_SECONDS, Stalls


class Jumping(asyncio.SelectorEventLoop):
    """A loop whose clock stands still until it is put forward."""

    ahead = 0.0

    def time(self) -> float:
        return self.ahead


@pytest.fixture
def loop() -> Iterator[Jumping]:
    loop = Jumping()
    yield loop
    loop.close()


async def watching() -> Stalls:
    stalls = Stalls()
    stalls.watch()
    return stalls


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_loop_that_runs_is_excused_for_nothing(loop: Jumping) -> None:
    stalls = loop.run_until_complete(watching())
    loop.ahead += BEAT_SECONDS + STALL_SECONDS / 2
    assert not stalls.is_recent
    loop.run_until_complete(turns(3))
    assert not stalls.is_recent


def test_one_that_slept_is_excused_at_once_and_for_a_while(loop: Jumping) -> None:
    stalls = loop.run_until_complete(watching())
    loop.ahead += BEAT_SECONDS + STALL_SECONDS + 1
    assert stalls.is_recent, "before its own timer came late"
    loop.run_until_complete(turns(3))
    assert stalls.is_recent, "while what fired late is worked off"
    loop.ahead += AFTERMATH_SECONDS
    loop.run_until_complete(turns(3))
    assert not stalls.is_recent


def test_nobody_is_excused_before_it_watches() -> None:
    assert not Stalls().is_recent
