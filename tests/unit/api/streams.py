"""Fakes beside the hub's two ports: streams and endings that a test writes by hand."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import orjson

from api.events.channel import Finish
from api.events.endings import Ending, EndingSource, StillRunning
from api.events.source import Event, EventSource
from common.errors import DependencyDown


class FakeStreams(EventSource):
    """Streams in memory. `is_away` makes every read fail; while `answers` is cleared, reads find but do not return."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Event]] = {}
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()
        self._changed = asyncio.Event()
        self._is_woken = False

    def add(self, job_id: str, *events: Event) -> None:
        self.streams.setdefault(job_id, []).extend(events)
        self._changed.set()

    async def read(self, last_ids: Mapping[str, str]) -> dict[str, list[Event]]:
        while True:
            if self.is_away:
                raise DependencyDown
            found = {job: events for job, last in last_ids.items() if (events := self._after(job, last))}
            if found or self._is_woken:
                self._is_woken = False
                await self.answers.wait()
                return found
            self._changed.clear()
            await self._changed.wait()

    async def wake(self) -> None:
        self._is_woken = True
        self._changed.set()

    async def exists(self, job_id: str) -> bool:
        if self.is_away:
            raise DependencyDown
        return job_id in self.streams

    def _after(self, job_id: str, last: str) -> list[Event]:
        number = int(last.partition("-")[0])
        return [one for one in self.streams.get(job_id, []) if int(one.id.partition("-")[0]) > number]


class FakeEndings(EndingSource):
    """Endings in memory; a job without one runs."""

    def __init__(self) -> None:
        self.ended: dict[str, Ending | None] = {}
        self.loads = 0

    async def load(self, job_id: str) -> Ending | None:
        self.loads += 1
        if job_id not in self.ended:
            raise StillRunning
        return self.ended[job_id]

    async def find_ended(self, job_ids: Sequence[str]) -> set[str]:
        return {job_id for job_id in job_ids if job_id in self.ended}


def delta(number: int, text: str = "") -> Event:
    return Event(f"{number}-0", "call.delta", orjson.dumps({"call": "c1", "text": text or str(number)}))


def call_finished(number: int, call: str) -> Event:
    return Event(f"{number}-0", "call.finished", orjson.dumps({"call": call}))


def job_finished(number: int) -> Event:
    return Event(f"{number}-0", "job.finished", b'{"status":"completed"}')


def ending(*calls: str) -> Ending:
    said = tuple((call, "call.finished", orjson.dumps({"call": call})) for call in calls)
    return Ending(Finish(b'{"the":"document"}', "digest"), said)


def names(written: bytes) -> list[str]:
    return [line[7:].decode() for line in written.split(b"\n") if line.startswith(b"event: ")]


def ids(written: bytes) -> list[str]:
    return [line[4:].decode() for line in written.split(b"\n") if line.startswith(b"id: ")]


def numbers(events: Iterable[str]) -> list[int]:
    return [int(event.partition("-")[0]) for event in events]
