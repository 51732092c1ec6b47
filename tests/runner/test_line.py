"""Slots and the waiting line."""

import asyncio

import pytest

from runner.faults import Busy, Draining
from runner.line import Line


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def hold(line: Line, until: asyncio.Event, order: list[int], number: int) -> None:
    async with line.place():
        order.append(number)
        await until.wait()


async def start(line: Line, until: asyncio.Event, order: list[int], number: int) -> "asyncio.Task[None]":
    task = asyncio.create_task(hold(line, until, order, number))
    await asyncio.sleep(0)
    return task


async def test_first_come_first_served() -> None:
    line, go, order = Line(1, 5), asyncio.Event(), list[int]()
    tasks = [await start(line, go, order, number) for number in range(4)]
    assert (line.in_flight, line.waiting, order) == (1, 3, [0])
    go.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    assert (line.in_flight, line.waiting) == (0, 0)


async def test_the_line_is_bounded() -> None:
    line, go = Line(1, 1), asyncio.Event()
    tasks = [await start(line, go, [], number) for number in range(2)]
    with pytest.raises(Busy):
        async with line.place():
            pass
    go.set()
    await asyncio.gather(*tasks)


async def test_who_gives_up_waiting_frees_its_place_in_the_line() -> None:
    line, go, order = Line(1, 1), asyncio.Event(), list[int]()
    first = await start(line, go, order, 1)
    impatient = await start(line, go, order, 2)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    assert line.waiting == 0
    third = await start(line, go, order, 3)
    go.set()
    await asyncio.gather(first, third)
    assert order == [1, 3]


async def test_a_slot_given_to_one_who_has_just_left_goes_to_the_next() -> None:
    line, go, order = Line(1, 5), asyncio.Event(), list[int]()

    async def first() -> None:
        async with line.place():
            await go.wait()
        leaving.cancel()  # it has been given the slot, and has not run since

    first_task = asyncio.create_task(first())
    await asyncio.sleep(0)
    leaving = await start(line, go, order, 2)
    third = await start(line, go, order, 3)
    go.set()
    await asyncio.gather(first_task, leaving, third, return_exceptions=True)
    assert leaving.cancelled()
    assert order == [3]
    await asyncio.wait_for(line.drained(), 10)


async def test_a_closed_line_refuses_who_waits_and_lets_finish_who_has_a_slot() -> None:
    line, go = Line(1, 5), asyncio.Event()
    running, waiting = await start(line, go, [], 1), await start(line, go, [], 2)
    line.close()
    with pytest.raises(Draining):
        await waiting
    with pytest.raises(Draining):
        async with line.place():
            pass
    drained = asyncio.create_task(line.drained())
    await asyncio.sleep(0)
    assert not drained.done()
    go.set()
    await running
    await asyncio.wait_for(drained, 10)


async def test_idle_is_counted_from_the_end_of_the_last_call() -> None:
    clock = Clock()
    line, go = Line(1, 5, clock), asyncio.Event()
    clock.now = 10
    assert line.idle_seconds == 10
    task = await start(line, go, [], 1)
    clock.now = 100
    assert line.idle_seconds is None
    go.set()
    await task
    clock.now = 103
    assert line.idle_seconds == 3
