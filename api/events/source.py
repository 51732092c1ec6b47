"""Where events come from: the streams of all watched jobs, read as one."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.errors import DependencyDown
from common.events import stream_key

# A read that finds nothing ends after this, so that a dead connection is noticed.
BLOCK_MILLISECONDS = 5000
EVENTS_A_READ = 500
WAKE_KEY_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a stream. `data` is JSON as the worker wrote it, `number` is for `common.events.Once`."""

    id: str
    name: str
    data: bytes
    number: bytes = b""


class EventSource(Protocol):
    """Streams of events, by job."""

    async def read(self, last_ids: Mapping[str, str]) -> Mapping[str, Sequence[Event]]:
        """Events after the last id of each job, those that are there or the next that come; maybe none.

        Raises:
            DependencyDown: the source is away.
        """
        ...

    async def wake(self) -> None:
        """End the `read` under way, or the next one, at once: there are other jobs to read. Never fails."""
        ...

    async def exists(self, job_id: str) -> bool:
        """Whether the job has a stream.

        Raises:
            DependencyDown: the source is away.
        """
        ...


class RedisSource:
    """One blocking XREAD over every stream, on a connection of its own.

    A stream that belongs to this process is always among them: an entry in it ends the read, and cannot
    be missed, whether it comes before the read or during it.
    """

    def __init__(self, reading: "Redis", redis: "Redis") -> None:
        self._reading = reading
        self._redis = redis
        self._wake_key = f"ultra:wake:{secrets.token_hex(8)}"
        self._last_wake = "0-0"

    async def read(self, last_ids: Mapping[str, str]) -> dict[str, list[Event]]:
        streams: dict[Any, Any] = {stream_key(job_id): last for job_id, last in last_ids.items()}
        streams[self._wake_key] = self._last_wake
        try:
            answer: Any = await self._reading.xread(streams, count=EVENTS_A_READ, block=BLOCK_MILLISECONDS)
        except (RedisError, OSError) as error:
            raise DependencyDown("Redis is away.") from error
        found: dict[str, list[Event]] = {}
        for key, entries in _by_stream(answer):
            if key == self._wake_key:
                self._last_wake = entries[-1][0].decode()
            else:
                found[key.rpartition(":")[2]] = [
                    Event(entry_id.decode(), fields[b"e"].decode(), fields[b"d"], fields.get(b"n", b""))
                    for entry_id, fields in entries
                    if b"e" in fields and b"d" in fields
                ]
        return found

    async def wake(self) -> None:
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.xadd(self._wake_key, {"w": "1"}, maxlen=1)
            pipeline.expire(self._wake_key, WAKE_KEY_SECONDS)
            await pipeline.execute()
        except (RedisError, OSError):
            return  # then there is no read to wake either

    async def exists(self, job_id: str) -> bool:
        try:
            return bool(await self._redis.exists(stream_key(job_id)))
        except (RedisError, OSError) as error:
            raise DependencyDown("Redis is away.") from error


def _by_stream(answer: Any) -> list[tuple[str, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """An XREAD answer, as either protocol version of Redis gives it."""
    if isinstance(answer, dict):
        return [(key.decode(), [entry for part in parts for entry in part]) for key, parts in answer.items()]
    return [(key.decode(), entries) for key, entries in answer or []]
