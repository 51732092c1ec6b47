import asyncio

import pytest

from common.providers.command import running


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_start_that_is_cancelled_stays_so_though_there_is_no_such_command(turns: int) -> None:
    async def start() -> None:
        async with running(["/no/such/command"]):
            pass

    starting = asyncio.create_task(start())
    for _ in range(turns):  # of the loop: in some of them it has failed, and nobody has heard of it
        await asyncio.sleep(0)
    expected = asyncio.CancelledError if starting.cancel() else FileNotFoundError
    with pytest.raises(expected):
        await starting
