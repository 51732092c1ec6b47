import asyncio
import logging

import pytest

from common import background
from common.background import keep_doing


async def test_a_fault_is_told_and_does_not_end_the_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "AFTER_A_FAULT_SECONDS", 0)
    steps = 0
    done = asyncio.Event()

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise RuntimeError("a bug")
        if steps == 4:
            done.set()

    working = asyncio.create_task(keep_doing(step))
    await asyncio.wait_for(done.wait(), 60)
    working.cancel()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
