import asyncio

import pytest

from common.ending import end


async def test_tasks_are_cancelled_and_waited_for() -> None:
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(3)]
    await end(tasks)
    assert all(task.cancelled() for task in tasks)
    await end([])


async def test_a_task_that_missed_its_cancellation_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.ending.ASK_AGAIN_SECONDS", 0.01)
    deaf = asyncio.Event()

    async def go_on() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            deaf.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    await end([task])
    assert deaf.is_set()
    assert task.cancelled()


async def test_a_task_that_failed_is_no_hindrance() -> None:
    async def fail() -> None:
        raise ValueError("no reason")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end([task])
    assert isinstance(task.exception(), ValueError)
