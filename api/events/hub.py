"""Following every watched job: one reader of Redis, and Postgres for what Redis lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson

from api.events.channel import Channel
from api.events.endings import Ending, EndingSource, StillRunning
from api.events.ids import postgres_id
from api.events.source import Event, EventSource
from api.events.wire import HEARTBEAT
from common.background import keep_doing
from common.ending import end
from common.errors import DependencyDown

HEARTBEAT_SECONDS = 15.0
# A client that takes nothing for this long is let go; TCP's own patience is many minutes.
STUCK_SECONDS = 30.0
# How often Postgres is asked which watched jobs ended. An event normally tells within milliseconds.
CHECK_SECONDS = 1.0
RETRY_SECONDS = 0.5

ENDS_OF_CALLS = frozenset({"call.finished", "call.failed"})

logger = logging.getLogger(__name__)


class Hub:
    """The channels of all jobs that somebody watches in this process. Belongs to one event loop."""

    def __init__(self, source: EventSource, endings: EndingSource) -> None:
        self._source = source
        self._endings = endings
        self._channels: dict[str, Channel] = {}
        self._watchers: dict[str, int] = {}
        self._is_watched = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_source_away = False
        self._late: set[Channel] = set()
        self._waking: asyncio.Task[None] | None = None
        self._has_unread_jobs = False
        self.is_closing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow events while the context lasts."""
        background = [
            asyncio.create_task(keep_doing(self._read)),
            asyncio.create_task(keep_doing(self._check, pause_seconds=CHECK_SECONDS)),
            asyncio.create_task(keep_doing(self._beat, pause_seconds=HEARTBEAT_SECONDS)),
        ]
        try:
            yield
        finally:
            self.close()
            await end([*background, *self._tasks])

    def close(self) -> None:
        """Let every watcher go: the process stops, and they may come back to another."""
        self.is_closing = True
        for channel in self._channels.values():
            channel.wake()

    @property
    def job_count(self) -> int:
        """Jobs that are watched."""
        return len(self._channels)

    @property
    def reader_count(self) -> int:
        """Watchers, of whatever job."""
        return sum(len(channel.readers) for channel in self._channels.values())

    @contextmanager
    def watch(self, job_id: str, *, has_ended: bool = False) -> Iterator[Channel]:
        """The job's channel, followed as long as somebody is in this context.

        `has_ended` says that Postgres knows the job's end already, so that a stream which is gone is not
        waited for.
        """
        channel = self._channels.get(job_id)
        if channel is None:
            channel = self._channels[job_id] = Channel(job_id)
            self._is_watched.set()
            self._wake_source()
            if has_ended:
                self._spawn(self._settle(channel))
        self._watchers[job_id] = self._watchers.get(job_id, 0) + 1
        try:
            yield channel
        finally:
            self._watchers[job_id] -= 1
            if not self._watchers[job_id]:
                del self._watchers[job_id], self._channels[job_id]
                if not self._channels:
                    self._is_watched.clear()

    def _wake_source(self) -> None:
        """Let the reader take up new jobs; many at once cost one message."""
        self._has_unread_jobs = True
        if self._waking is None or self._waking.done():
            self._waking = self._spawn(self._wake_while_needed())

    async def _wake_while_needed(self) -> None:
        while self._has_unread_jobs:
            self._has_unread_jobs = False
            await self._source.wake()

    async def _read(self) -> None:
        """Read once what is new of all watched jobs."""
        await self._is_watched.wait()
        asked = self._unfinished()
        try:
            found = await self._source.read({job_id: channel.last_stream_id for job_id, channel in asked.items()})
        except DependencyDown as error:
            if not self._is_source_away:
                logger.warning("events not read, watchers get the end of jobs from Postgres: %s", error.message)
            self._is_source_away = True
            await asyncio.sleep(RETRY_SECONDS)
            return
        self._is_source_away = False
        for job_id, events in found.items():
            channel = asked[job_id]
            # What was read for a channel that is gone is not the beginning of the one in its place.
            if not channel.is_finishing and self._channels.get(job_id) is channel:
                self._take(channel, events)

    def _take(self, channel: Channel, events: Sequence[Event]) -> None:
        has_grown = False
        for event in events:
            channel.last_stream_id = event.id
            if not channel.once.is_new(event.number):
                continue
            if event.name == "job.finished":
                self._finish_soon(channel, event.id)
                break
            if event.name in ENDS_OF_CALLS:
                channel.ended_calls.add(orjson.loads(event.data)["call"])
            channel.append(event.id, event.name, event.data)
            has_grown = True
        if has_grown:
            channel.wake()

    async def _settle(self, channel: Channel) -> None:
        """A job that had ended before anybody watched: from Postgres, unless its stream is still there."""
        try:
            if await self._source.exists(channel.job_id):
                return
        except DependencyDown as error:
            logger.debug("no stream of %s: %s", channel.job_id, error.message)
        self._finish_soon(channel, None)

    async def _check(self) -> None:
        """Find the jobs whose last event never came: Redis was flushed, or away, or a worker died with it."""
        asked = self._unfinished()
        if not asked:
            return
        try:
            ended = {asked[job_id] for job_id in await self._endings.find_ended(list(asked))}
        except DependencyDown as error:
            logger.warning("watched jobs not looked at: %s", error.message)
            return
        # One more round for an event that is on its way, unless none can come.
        overdue = ended if self._is_source_away else ended & self._late
        self._late = ended
        for channel in overdue:
            self._finish_soon(channel, None)

    def _unfinished(self) -> dict[str, Channel]:
        return {job_id: channel for job_id, channel in self._channels.items() if not channel.is_finishing}

    def _finish_soon(self, channel: Channel, event_id: str | None) -> None:
        if not channel.is_finishing:
            channel.is_finishing = True
            self._spawn(self._finish(channel, event_id))

    async def _finish(self, channel: Channel, event_id: str | None) -> None:
        """Close the channel with the job's document; first say what the stream did not.

        A worker that died after its commit told nobody, one that is slower than its successor tells too late.
        """
        try:
            ending = await self._load(channel)
        except Exception:
            logger.exception("end of %s cannot be shown", channel.job_id)
            ending = None
        if ending is None:
            channel.close()  # deleted, or our fault: there is nothing to show
            return
        for number, (call, name, data) in enumerate(ending.calls, start=1):
            if call not in channel.ended_calls:
                channel.append(postgres_id(number), name, data)
                event_id = None  # which would stand before this one
        channel.end_with(event_id or postgres_id(len(ending.calls) + 1), ending.finish)

    async def _load(self, channel: Channel) -> Ending | None:
        """The job's ending, as soon as Postgres tells."""
        while True:
            try:
                return await self._endings.load(channel.job_id)
            except (DependencyDown, StillRunning) as error:
                logger.warning("end of %s not loaded: %s", channel.job_id, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _beat(self) -> None:
        """Wake every reader: it has a heartbeat to send. Those that are stuck are let go."""
        for channel in list(self._channels.values()):
            for reader in list(channel.readers):
                reader.drop_if_stuck(STUCK_SECONDS)
            channel.wake(HEARTBEAT)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
