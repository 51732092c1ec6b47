"""Following a job to its end, whatever happens to the connection."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from cli.client import Client, Document, StreamRefused, is_finished
from cli.exits import CommandFailed, ServerRefused, ServerUnreachable
from common.contracts.events import EventName

# Streams that end before they say anything mean that something between us and the server cuts them.
MAX_EMPTY_STREAMS = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the job; `common.contracts.events` says what `data` holds."""

    name: EventName
    data: dict[str, Any]


class Patience:
    """How long to go on without a sign of life, and how long to wait between two tries."""

    def __init__(
        self, seconds: float = 60.0, *, first_pause_seconds: float = 0.2, max_pause_seconds: float = 2.0
    ) -> None:
        """A minute: a restarting server, a sleeping laptop, a train in a tunnel; the job does not mind."""
        self._seconds = seconds
        self._first_pause = first_pause_seconds
        self._max_pause = max_pause_seconds
        self.renew()

    def renew(self) -> None:
        """There was a sign of life: start again."""
        self._ends = time.monotonic() + self._seconds
        self._next_pause = self._first_pause

    def spend(self, error: CommandFailed) -> None:
        """Raise the error if the patience is at its end."""
        if time.monotonic() > self._ends:
            raise error
        logger.info("%s", error)

    async def pause(self) -> None:
        """Wait, a little longer each time."""
        await asyncio.sleep(self._next_pause)
        self._next_pause = min(self._next_pause * 1.5, self._max_pause)


async def watch(client: Client, job_id: str, patience: Patience | None = None) -> AsyncGenerator[Event, None]:
    """Yield what happens to the job, from its first event to its `job.finished`.

    A lost connection is taken up where it broke. Where events are not streamed the job is polled, and
    `call.delta` does not occur.

    Raises:
        ServerUnreachable: nobody answered for as long as the patience lasts.
        ServerRefused: this job is not to be watched.
    """
    last_event_id = ""
    empty_streams = 0
    patience = patience or Patience()
    while empty_streams < MAX_EMPTY_STREAMS:
        empty_streams += 1
        try:
            async with client.events(job_id, last_event_id) as stream:
                async for sent in stream:
                    if not sent.data:
                        continue  # `retry:` alone is no event
                    last_event_id = sent.id or last_event_id
                    empty_streams = 0
                    patience.renew()
                    event = Event(sent.event, orjson.loads(sent.data))  # type: ignore[arg-type]
                    yield event
                    if event.name == "job.finished":
                        return
        except StreamRefused:
            break
        except httpx.TransportError as error:
            empty_streams = 0  # nobody cut the stream short: there was none
            patience.spend(client.unreachable(error))
        await patience.pause()
    async with aclosing(_poll(client, job_id, patience)) as polled:
        async for event in polled:
            yield event


async def _poll(client: Client, job_id: str, patience: Patience) -> AsyncGenerator[Event, None]:
    seen: Document | None = None
    etag: str | None = None
    while True:
        try:
            document, etag = await client.document_if_changed(job_id, etag)
        except (ServerUnreachable, ServerRefused) as error:
            if isinstance(error, ServerRefused) and not error.is_retryable:
                raise
            patience.spend(error)
            document = None
        if document is not None:
            patience.renew()
            for event in changes(seen, document):
                yield event
            if is_finished(document):
                return
            seen = document
        await patience.pause()


def changes(before: Document | None, after: Document) -> Iterator[Event]:
    """What a watcher would have been told between two looks at a job."""
    yield Event("job.status", {"status": after["status"], "progress": after["progress"]})
    known = before["answers"] if before else [{"status": "queued"}] * len(after["answers"])
    for place, (old, new) in enumerate(zip(known, after["answers"], strict=True)):
        if old["status"] != new["status"]:
            yield from _change_of_call(f"answer-{place}", new)
    if is_finished(after):
        yield Event("job.finished", after)


def _change_of_call(call: str, answer: dict[str, Any]) -> Iterator[Event]:
    known = {"call": call, "model": answer["model"]}
    match answer["status"]:
        case "running":
            yield Event("call.started", {**known, "attempt": answer["attempts"]})
        case "completed":
            yield Event("call.finished", {**known, "answer": answer})
        case "failed" | "cancelled":
            yield Event("call.failed", {**known, "answer": answer})
