"""Circuits: a model whose server keeps failing is left alone for a while, by every process at once.

One circuit a model and provider. Failures in a row open it; then it is passed over without a request.
When its time is up one call may probe it: its success closes the circuit, its failure opens it again
for twice as long. The states lie in one Redis hash that holds only circuits with failures, and each process
keeps a copy of it, a second old at most: a healthy model's calls cost nothing. While Redis is away no
circuit opens, and those that are open are probed when their time is up.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.background import keep_doing
from common.cancelling import cancellable

KEY = "ultra:circuits"
REFRESH_SECONDS = 1.0
# Each opening doubles the time to the next probe, up to this.
MAX_DOUBLINGS = 4
# Of some servers any name is asked, so anybody who may ask them can make up names that fail. More than a catalog has
# models: past it all is forgotten, and what fails still is known anew after some failures.
MAX_CIRCUITS = 1000
# A probe that was never heard of again (its worker died) does not block the next one for longer.
PROBE_SECONDS = 60.0

logger = logging.getLogger(__name__)

# A field is `failures open_until openings probe_until`, times in milliseconds of Redis' clock. Both scripts
# answer how many milliseconds the circuit stays closed to others; 0: it may be asked.
_READ = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local failures, open_until, openings, probe_until = 0, 0, 0, 0
local state = redis.call('HGET', KEYS[1], ARGV[1])
if state then
  failures, open_until, openings, probe_until = string.match(state, '(%d+) (%d+) (%d+) (%d+)')
  failures, open_until, openings, probe_until =
    tonumber(failures), tonumber(open_until), tonumber(openings), tonumber(probe_until)
end
local function write()
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %.0f %d %.0f', failures, open_until, openings, probe_until))
end
"""
_FAIL = (
    _READ
    + """
if now < open_until then return {failures, open_until - now} end  -- a straggler: it was asked before the opening
failures = failures + 1
if failures >= tonumber(ARGV[2]) then
  open_until = now + tonumber(ARGV[3]) * 2 ^ math.min(openings, tonumber(ARGV[4]))
  openings = openings + 1
  probe_until = 0
end
write()
return {failures, math.max(open_until - now, 0)}
"""
)
_PROBE = (
    _READ
    + """
if not state or open_until == 0 then return 0 end
if now < open_until then return open_until - now end
if now < probe_until then return probe_until - now end
probe_until = now + tonumber(ARGV[2])
write()
return 0
"""
)
_UNHEARD = (
    _READ
    + """
if probe_until > 0 then
  probe_until = 0
  write()
end
return 0
"""
)


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit as this process last saw it. `probe_at` is of the monotonic clock."""

    failures: int
    is_open: bool
    probe_at: float


class Circuits:
    """The circuits of one process's calls. Belongs to one event loop; never raises for Redis."""

    def __init__(self, redis: "Redis", *, failures: int, open_seconds: float) -> None:
        self._redis = redis
        self._failures = failures
        self.open_seconds = open_seconds
        self._seen: dict[str, Circuit] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._fail = redis.register_script(_FAIL)
        self._probe = redis.register_script(_PROBE)
        self._give_up_probe = redis.register_script(_UNHEARD)

    async def blocked_seconds(self, key: str) -> float:
        """For how long the model had better not be asked; 0 if it may be asked now.

        A caller that gets 0 from an open circuit holds its probe: `succeeded`, `failed` or `unheard` must follow.
        """
        circuit = self._seen.get(key)
        if circuit is None or not circuit.is_open:
            return 0.0
        if (remaining := circuit.probe_at - time.monotonic()) > 0:
            return remaining
        try:
            async with cancellable():
                return int(await self._probe(keys=[KEY], args=[key, int(PROBE_SECONDS * 1000)])) / 1000
        except (RedisError, OSError) as error:
            logger.warning("circuit %s not probed by one alone, Redis is away: %s", key, error)
            return 0.0

    async def failed(self, key: str) -> None:
        """Count a failure that speaks against the server, not against the request."""
        arguments: list[str | int] = [key, self._failures, int(self.open_seconds * 1000), MAX_DOUBLINGS]
        try:
            async with cancellable():
                if key not in self._seen and len(self._seen) >= MAX_CIRCUITS:
                    await self._redis.delete(KEY)
                    self._seen.clear()
                failures, open_ms = await self._fail(keys=[KEY], args=arguments)
        except (RedisError, OSError) as error:
            logger.warning("failure of %s not counted, Redis is away: %s", key, error)
            return
        was_open = key in self._seen and self._seen[key].is_open
        self._seen[key] = Circuit(int(failures), int(open_ms) > 0, time.monotonic() + int(open_ms) / 1000)
        if int(open_ms) > 0 and not was_open:
            logger.warning("circuit of %s opened for %.1f s after %d failures", key, int(open_ms) / 1000, failures)

    def succeeded(self, key: str) -> None:
        """An answer came: whatever was held against the server is forgotten."""
        if self._seen.pop(key, None) is not None:
            self._tell(self._close(key))

    def unheard(self, key: str) -> None:
        """It was not asked after all, or not waited for. If that was the probe, somebody else may make it."""
        if self.is_open(key):
            self._tell(self._leave_probe(key))

    def is_open(self, key: str) -> bool:
        """Whether the circuit is open, as last seen."""
        circuit = self._seen.get(key)
        return circuit is not None and circuit.is_open

    def open_keys(self) -> list[str]:
        """The open circuits, as last seen."""
        return sorted(key for key, circuit in self._seen.items() if circuit.is_open)

    async def keep(self) -> None:
        """Keep the copy fresh, for ever."""
        await keep_doing(self.refresh, pause_seconds=REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Copy the states as they are now; the old copy stands while Redis is away."""
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.time()
            pipeline.hgetall(KEY)
            (seconds, microseconds), states = await pipeline.execute()
        except (RedisError, OSError) as error:
            logger.debug("circuits not refreshed, Redis is away: %s", error)
            return
        now_ms, here = seconds * 1000 + microseconds // 1000, time.monotonic()
        seen = {}
        for key, state in states.items():
            failures, open_until, openings, _ = map(int, state.split())
            seen[key.decode()] = Circuit(failures, openings > 0, here + max(open_until - now_ms, 0) / 1000)
        self._seen = seen

    async def drain(self) -> None:
        """Wait until what was told so far is known to others, or given up."""
        await asyncio.gather(*self._telling)

    def _tell(self, telling: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _leave_probe(self, key: str) -> None:
        try:
            await self._give_up_probe(keys=[KEY], args=[key])
        except (RedisError, OSError) as error:
            logger.warning("probe of %s not given up, Redis is away: %s", key, error)

    async def _close(self, key: str) -> None:
        try:
            await self._redis.hdel(KEY, key)
        except (RedisError, OSError) as error:
            logger.warning("circuit of %s not closed for others, Redis is away: %s", key, error)


def circuit_key(provider: str, name: str) -> str:
    """The circuit of a provider's model, by the name its server knows: entries that share it share the circuit."""
    return f"{provider}/{name}"
