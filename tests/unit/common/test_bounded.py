import asyncio

import pytest

from common.database.bounded import bounded


class Silent:
    """Work that never ends, nor does its clean-up."""

    def __init__(self) -> None:
        self.has_begun, self.is_over = asyncio.Event(), asyncio.Event()

    async def work(self) -> None:
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self.is_over.wait()


async def test_what_it_comes_to_is_handed_on() -> None:
    async def one() -> int:
        return 1

    async def fault() -> None:
        raise ValueError("no")

    assert await bounded(one()) == 1
    with pytest.raises(ValueError, match="no"):
        await bounded(fault())


async def test_work_that_takes_too_long_is_left_with_its_clean_up() -> None:
    silent = Silent()
    with pytest.raises(TimeoutError, match=r"did not answer within 0\.01 s"):
        await bounded(silent.work(), 0.01)
    silent.is_over.set()


async def test_who_is_cancelled_does_not_wait_for_the_clean_up_either() -> None:
    silent = Silent()
    waiting = asyncio.create_task(bounded(silent.work()))
    await silent.has_begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    silent.is_over.set()
