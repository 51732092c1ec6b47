"""Workers that die, freeze, stop, or are killed by what they are asked."""

import asyncio
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.deployment import Worker
from tests.faults.field import Field, body
from tests.faults.history import History
from tests.faults.subject import POINTS

KILL_PAUSE_SECONDS = 2.5
FREEZE_SECONDS = 8.0
TRAP_SECONDS = 180.0
# They come one after the other: two at once may take an innocent call along, and that is said.
POISON_SECONDS = 400.0
CLOCK_MINUTES = 5
MAX_ATTEMPTS = 3


async def kill_workers(field: Field, times: int) -> None:
    """kill -9 a random worker process, again and again, while the ones before are still being replaced."""
    for number in range(times):
        field.say(f"kill {number + 1} of {times}")
        await field.loaded()
        worker = field.rng.choice([one for one in field.deployment.workers if one.is_alive])
        field.note("kill", field.injecting(), worker=worker.record_name)
        worker.kill()
        await asyncio.sleep(field.rng.uniform(0.5, 1.5) * KILL_PAUSE_SECONDS)


async def kill_at_points(field: Field, times: int) -> None:
    """kill -9 at each named point of the code, `times` each: a trap is set, and whoever comes by dies in it."""
    traps = field.deployment.directory / "traps"
    order = [point for point in POINTS for _ in range(times)]
    field.rng.shuffle(order)
    for number, point in enumerate(order, start=1):
        field.say(f"trap {number} of {len(order)}: {point}")
        await field.loaded()
        field.injecting()
        before = {worker.record_name: worker for worker in field.deployment.workers if worker.is_alive}
        deaths = sum(worker.deaths for worker in field.deployment.workers)
        (traps / point).touch()
        async with asyncio.timeout(TRAP_SECONDS):
            while (traps / point).exists():  # another process has no event
                await asyncio.sleep(0.01)
            at = time.time()
            while sum(worker.deaths for worker in field.deployment.workers) == deaths:
                await asyncio.sleep(0.01)
        alive = {worker.record_name for worker in field.deployment.workers if worker.is_alive}
        for name in before.keys() - alive:
            field.note(point, at, worker=name)
        await asyncio.sleep(field.rng.uniform(0.1, 0.4))


async def freeze_workers(field: Field, times: int) -> None:
    """Stop workers with SIGSTOP for longer than their lease, two at a time, then let them go on."""
    holders = field.deployment.workers_of("cloud", "local")
    done = itertools.count(1)

    async def freeze(share: range, workers: list[Worker]) -> None:
        for _ in share:
            await field.loaded()
            worker = field.rng.choice(workers)
            field.say(f"freeze {next(done)} of {times}")
            field.note("freeze", field.injecting(), worker=worker.record_name)
            worker.send(signal.SIGSTOP)
            await asyncio.sleep(FREEZE_SECONDS)
            worker.send(signal.SIGCONT)
            await asyncio.sleep(field.rng.uniform(1, 3))

    half = len(holders) // 2
    await asyncio.gather(freeze(range(times // 2), holders[:half]), freeze(range(times - times // 2), holders[half:]))


async def deploy(field: Field, times: int) -> None:
    """Stop every worker softly and start it again, one by one, under load."""
    for number, worker in _each(field, times):
        field.say(f"deployment {number} of {times}: {worker.name}")
        await field.loaded()
        at = field.injecting()
        await worker.restart()
        field.note("deploy", at, over_at=time.time())
        await asyncio.sleep(0.5)


def _each(field: Field, times: int) -> Iterator[tuple[int, Worker]]:
    for number in range(1, times + 1):
        for worker in field.deployment.workers:
            yield number, worker


async def poison(field: Field, times: int) -> None:
    """A call whose every attempt kills its worker, alone in its job or beside one that is well; one after the other."""
    for number in range(times):
        models = ["faulty-poison", "steady-a"] if number % 2 else ["faulty-poison"]
        field.say(f"poisoned call {number + 1} of {times}")
        await field.loaded()
        field.note("poison", field.injecting())
        job_id = await field.submitter.submit(body(1_000_000 + number, models, is_merged=False))
        deadline = time.monotonic() + POISON_SECONDS
        while job_id and time.monotonic() < deadline and not await field.has_ended(job_id):
            await asyncio.sleep(0.5)


def faketime() -> Path | None:
    """The library that gives a process another clock; None where it is not installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


async def wrong_clock(field: Field, times: int) -> None:
    """A worker whose clock is minutes off joins, works, and leaves."""
    for number in range(times):
        sign = "+-"[number % 2]
        # the library and not the command, which would stand between us and the worker
        settings = (f"LD_PRELOAD={faketime()}", "FAKETIME_DONT_FAKE_MONOTONIC=1", f"FAKETIME={sign}{CLOCK_MINUTES}m")
        field.say(f"clock {sign}{CLOCK_MINUTES} minutes, {number + 1} of {times}")
        crew = [field.deployment.worker(kind, f"clock{number}", ("env", *settings)) for kind in ("control", "cloud")]
        for worker in crew:
            await worker.start()
        await field.loaded()
        at = field.injecting()
        await asyncio.sleep(25)
        for worker in crew:
            await worker.stop()
        field.note("clock", at, over_at=time.time())


def late_writes_came(history: History) -> Iterator[str]:
    """The row tells nothing unless frozen workers did come back with results, to be refused."""
    if len(history.faults) > 10 and not any(not write.accepted for write in history.writes):
        yield "no late result was ever brought"


def poison_is_dead_lettered(history: History) -> Iterator[str]:
    """Only the poison is given up, after the usual attempts, and its job says so."""
    poisoned = {call.job_id: call for call in history.calls.values() if call.model == "faulty-poison"}
    for call in poisoned.values():
        if call.error_code != "dead_lettered" or call.attempt != MAX_ATTEMPTS:
            yield f"the poisoned call {call.id} ended {call.status} {call.error_code} after {call.attempt} attempts"
    for job in history.jobs.values():
        expected = ("partial" if job.asked > 1 else "failed") if job.id in poisoned else "completed"
        if job.status != expected:
            yield f"job {job.id} ended {job.status} where {expected} was due"
