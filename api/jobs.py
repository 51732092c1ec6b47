"""Jobs as a caller sees them: its own, or nobody's."""

import logging
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.auth import Caller
from api.database import Database, Row
from common.contracts.jobs import TERMINAL
from common.database import calls, jobs
from common.errors import JobNotFinished, JobNotFound
from common.events import CANCEL_CHANNEL, EventSink, stream_key
from common.telemetry.port import Telemetry

logger = logging.getLogger(__name__)


class Jobs:
    """Looks at jobs, cancels and removes them.

    Every method raises `JobNotFound` for an id that is malformed, unknown or somebody else's: callers
    cannot tell which. And `DependencyDown` while Postgres is away.
    """

    def __init__(self, database: Database, redis: "Redis", events: EventSink, telemetry: Telemetry) -> None:
        self._database = database
        self._redis = redis
        self._events = events
        self._telemetry = telemetry

    async def load(self, job_id: str, caller: Caller) -> Row:
        """The row with its `calls`."""
        row = await self._database.first(jobs.with_calls([parse_id(job_id)]))
        if row is None or caller.sees not in {None, row["owner"]}:
            raise JobNotFound
        return row

    async def mark(self, job_id: str, caller: Caller) -> tuple[str, str]:
        """`(status, digest)`, for a fraction of what `load` costs."""
        row = await self._database.first(jobs.mark(parse_id(job_id), caller.sees))
        if row is None:
            raise JobNotFound
        return row["status"], row["digest"]

    async def cancel(self, job_id: str, caller: Caller) -> Row:
        """End the job and stop what it asked of models; a job that had ended stays as it is."""
        await self.mark(job_id, caller)
        number = parse_id(job_id)
        has_ended_now = await self._database.first(jobs.cancel(number)) is not None
        # Also where it had been cancelled before: the one who did may have got no further.
        if await self._database.fetch(calls.cancel(number)) or has_ended_now:
            await self._tell_workers(job_id)
        if has_ended_now:
            self._events.append(number, "job.finished", {"status": "cancelled"})
        row = await self.load(job_id, caller)
        if has_ended_now:
            self._telemetry.job_ended(number, row["kind"], "cancelled")
        return row

    async def remove(self, job_id: str, caller: Caller) -> None:
        """Forget an ended job.

        Raises:
            JobNotFinished: it still runs.
        """
        status, _ = await self.mark(job_id, caller)
        if status not in TERMINAL:
            raise JobNotFinished
        await self._database.fetch(jobs.remove(parse_id(job_id)))
        try:
            await self._redis.delete(stream_key(job_id))
        except (RedisError, OSError) as error:
            logger.warning("events of %s not removed, they will expire: %s", job_id, error)

    async def _tell_workers(self, job_id: str) -> None:
        try:
            await self._redis.publish(CANCEL_CHANNEL, job_id)
        except (RedisError, OSError) as error:
            logger.warning("workers not told of the end of %s, they will notice: %s", job_id, error)


def parse_id(text: str) -> UUID:
    """A job's id, in the one spelling that we give out.

    Raises:
        JobNotFound: it cannot be one of ours.
    """
    try:
        number = UUID(text)
    except ValueError:
        raise JobNotFound from None
    if str(number) != text:
        raise JobNotFound
    return number
