"""What containers wrote, from the one process of a node that may read it, to whoever asks through Redis.

An ask lies in its node's list until it is taken, a few seconds at most; the reply has a list of its own. Neither side
waits for the other for longer, and neither is owed anything: logs are for people, who ask again.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.contracts.fleet import LogLineDocument
from common.ending import end
from common.errors import AppError, DependencyDown, NotFound

# Shorter than the time-out of any connection that waits here.
WAIT_SECONDS = 4.0
KEEP_SECONDS = 10
# Lines may be long: of what would be more, the oldest are left out.
MAX_REPLY_BYTES = 512 * 1024
MAX_LINE_CHARACTERS = 8192
# Asks of one node that are worked on at once.
AT_ONCE = 4
AWAY_SECONDS = 1.0

Read = Callable[[str, int], Awaitable[Sequence[LogLineDocument]]]
"""The last so many lines of a container; raises `NoLogs` if there is no such container of ours."""

logger = logging.getLogger(__name__)


class NoLogs(NotFound):
    """The model has no container: there is nothing to read."""

    code = "no_logs"


async def ask(redis: "Redis", node: str, container: str, tail: int) -> list[LogLineDocument]:
    """The last `tail` lines of a container.

    Raises:
        NoLogs: it is gone.
        DependencyDown: its node's lifecycle worker does not answer, or cannot read it, or Redis is away.
    """
    reply = f"ultra:fleet:reply:{secrets.token_hex(16)}"
    asked = orjson.dumps({"reply": reply, "container": container, "tail": tail})
    try:
        pipeline = redis.pipeline(transaction=True)
        pipeline.rpush(_asks(node), asked)
        pipeline.expire(_asks(node), KEEP_SECONDS)
        await pipeline.execute()
        # redis-py types its commands for both of its clients at once
        came = await cast("Awaitable[Any]", redis.blpop([reply], timeout=WAIT_SECONDS))
    except (RedisError, OSError) as error:
        raise DependencyDown("Redis is away.") from error
    if came is None:
        raise DependencyDown(f"The lifecycle worker of node {node} did not answer within {WAIT_SECONDS:g} s.")
    said = orjson.loads(came[1])
    if "error" in said:
        raise (NoLogs if said["code"] == NoLogs.code else DependencyDown)(said["error"])
    return [LogLineDocument(**line) for line in said["lines"]]


async def serve(redis: "Redis", node: str, read: Read) -> None:
    """Answer what is asked of this node, for ever."""
    room = asyncio.Semaphore(AT_ONCE)
    under_way: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                came = await cast("Awaitable[Any]", redis.blpop([_asks(node)], timeout=WAIT_SECONDS))
            except (RedisError, OSError) as error:
                logger.debug("nobody can ask for logs, Redis is away: %s", error)
                await asyncio.sleep(AWAY_SECONDS)
                continue
            if came is not None:
                await room.acquire()
                task = asyncio.create_task(_reply(redis, came[1], read))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                task.add_done_callback(lambda _: room.release())
    finally:
        await end(under_way)


async def _reply(redis: "Redis", asked: bytes, read: Read) -> None:
    try:
        document = orjson.loads(asked)
        reply, container, tail = str(document["reply"]), str(document["container"]), int(document["tail"])
        try:
            said: dict[str, Any] = {"lines": bounded(await read(container, tail))}
        except AppError as error:
            said = {"error": error.message, "code": error.code}
        pipeline = redis.pipeline(transaction=True)
        pipeline.rpush(reply, orjson.dumps(said))
        pipeline.expire(reply, KEEP_SECONDS)
        await pipeline.execute()
    except (RedisError, OSError) as error:
        logger.warning("logs not sent, Redis is away: %s", error)
    except Exception:  # whoever asked is told that nobody answered
        logger.exception("logs not read")


def bounded(lines: Sequence[LogLineDocument]) -> list[dict[str, Any]]:
    """The newest of the lines that one reply holds, each cut to a length that people read."""
    kept: list[dict[str, Any]] = []
    size = 0
    for line in reversed(lines):
        shown = line.model_copy(update={"text": line.text[:MAX_LINE_CHARACTERS]}).model_dump()
        size += len(orjson.dumps(shown))
        if size > MAX_REPLY_BYTES:
            break
        kept.append(shown)
    return kept[::-1]


def _asks(node: str) -> str:
    return f"ultra:fleet:asks:{node}"
