"""Many watchers of one job: each must see every event, in order, also those that are killed and come back."""

import asyncio
import math
import random
import resource
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import orjson

from benchmarks.wire import Connection, encode

WATCH_SECONDS = 120
# Files beside the clients': logs, pipes, the event loop.
SPARE_FILES = 256


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `data` is the text as it came."""

    id: str
    name: str
    data: str


@dataclass(slots=True)
class Watcher:
    """One client: what it saw, and after how many events it dies, each time."""

    deaths: list[int]
    events: list[Event] = field(default_factory=list)
    resumed: int = 0

    @property
    def last_id(self) -> str:
        return self.events[-1].id if self.events else ""

    @property
    def is_done(self) -> bool:
        return bool(self.events) and self.events[-1].name == "job.finished"


@dataclass(frozen=True, slots=True)
class FanOut:
    """How it went. `faults` is empty if every watcher saw the same whole story."""

    watchers: int
    events_each: int
    kills: int
    resumptions: int
    seconds: float
    faults: list[str]


def allow_connections(count: int) -> bool:
    """Raise this process's limit of open files for `count` sockets; children inherit it. False: not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


async def fan_out(port: int, events_path: str, *, watchers: int, killed: int, seed: int = 0) -> FanOut:
    """Watch a job to its end from `watchers` clients, of which `killed` die twice at random and resume.

    Raises:
        TimeoutError: somebody had not seen the end after two minutes.
    """
    draw = random.Random(seed)
    everybody = [Watcher(sorted(draw.sample(range(1, 40), 2)) if n < killed else []) for n in range(watchers)]
    kills = sum(len(watcher.deaths) for watcher in everybody)
    began = time.perf_counter()
    async with asyncio.timeout(WATCH_SECONDS):
        await asyncio.gather(*(_watch(watcher, port, events_path) for watcher in everybody))
    seconds = time.perf_counter() - began
    return FanOut(
        watchers,
        len(everybody[-1].events),
        kills - sum(len(watcher.deaths) for watcher in everybody),
        sum(watcher.resumed for watcher in everybody),
        seconds,
        faults([watcher.events for watcher in everybody]),
    )


def faults(stories: Sequence[Sequence[Event]]) -> list[str]:
    """What is wrong with what the watchers saw, in words; empty if nothing is."""
    told = list(stories[-1])
    found = [f"watcher {n} saw another story than the last" for n, story in enumerate(stories) if list(story) != told]
    orders = [_order(event.id) for event in told]
    if orders != sorted(set(orders)):
        found.append("ids are not strictly ascending")
    found += [f"a delta is missing or doubled: {call}" for call in _calls_that_do_not_add_up(told)]
    return found


def _order(event_id: str) -> tuple[float, float]:
    """Where an id stands: `MILLISECONDS-SEQUENCE` from the stream, then `pg-N` that Postgres added."""
    first, _, second = event_id.partition("-")
    return (math.inf if first == "pg" else int(first), int(second))


def _calls_that_do_not_add_up(story: Sequence[Event]) -> list[str]:
    said: dict[str, str] = {}
    broken = []
    for event in story:
        data = orjson.loads(event.data)
        if event.name in {"call.started", "call.reset"}:
            said[data["call"]] = ""
        elif event.name == "call.delta":
            said[data["call"]] = said.get(data["call"], "") + data["text"]
        elif event.name == "call.finished" and said.get(data["call"]) != data["answer"]["text"]:
            broken.append(data["call"])
    return broken


async def _watch(watcher: Watcher, port: int, path: str) -> None:
    while not watcher.is_done:
        if watcher.events:
            watcher.resumed += 1
            await asyncio.sleep(0.05)
        # the server may drop a watcher that is slow: it comes back like one that was killed
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            async with Connection(port) as connection:
                await _listen(watcher, connection, path)


async def _listen(watcher: Watcher, connection: Connection, path: str) -> None:
    headers = {"accept": "text/event-stream"}
    if watcher.last_id:
        headers["last-event-id"] = watcher.last_id
    status, body = await connection.stream(encode("GET", path, headers=headers))
    if status != 200:
        raise RuntimeError(f"the events are answered with {status}")
    async with aclosing(parse(body)) as events:
        async for event in events:
            watcher.events.append(event)
            if watcher.is_done:
                return
            if watcher.deaths and len(watcher.events) >= watcher.deaths[0]:
                del watcher.deaths[0]
                return


async def parse(body: AsyncIterator[bytes]) -> AsyncGenerator[Event]:
    """Events of a stream that may be cut anywhere; comments and unfinished events are left out."""
    rest = b""
    async for part in body:
        *blocks, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
        for block in blocks:
            fields = [line.partition(": ") for line in block.decode().split("\n") if not line.startswith(":")]
            values = {name: value for name, _, value in fields}
            if "data" in values:
                data = "\n".join(value for name, _, value in fields if name == "data")
                yield Event(values.get("id", ""), values.get("event", "message"), data)
