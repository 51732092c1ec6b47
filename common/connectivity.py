"""Whether the clouds can be reached at all: offline, cloud models' calls go to local models.

Nobody asks while all is well. A failed call raises the suspicion; then each provider's server is knocked at
(a TCP connection, or one to the proxy before it), and its open circuits are counted against it. Offline means
that no provider is left. From then on a knock every few seconds finds out when the clouds are back.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from common.circuits import Circuits
from common.ending import end

KNOCK_SECONDS = 1.5
# However many calls fail together, they share one look; and while offline nobody waits for the next one.
FRESH_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Connectivity:
    """Belongs to one event loop. `targets` gives, by provider, the URL to knock at: cloud providers in use."""

    def __init__(self, targets: Callable[[], Mapping[str, str]], circuits: Circuits) -> None:
        self._targets = targets
        self._circuits = circuits
        self._heard_from: dict[str, float] = {}
        self._looked_at = -FRESH_SECONDS
        self._looking: asyncio.Task[None] | None = None
        self._is_offline = False

    @property
    def is_offline(self) -> bool:
        """As of the last look; while offline, looking again is started where it is due."""
        if self._is_offline and time.monotonic() - self._looked_at >= FRESH_SECONDS:
            self._look_soon()
        return self._is_offline

    async def suspect(self) -> bool:
        """A cloud could not be reached, or broke off: look whether any can be. Returns whether we are offline."""
        if self._looking is not None or time.monotonic() - self._looked_at >= FRESH_SECONDS:
            await asyncio.shield(self._look_soon())
        return self._is_offline

    def heard_from(self, provider: str) -> None:
        """An answer came from this provider, so not everything of it is away."""
        self._heard_from[provider] = time.monotonic()
        if self._is_offline and provider in self._targets():
            logger.warning("%s answers: the clouds are back", provider)
            self._is_offline = False

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            await end([self._looking])

    def _look_soon(self) -> "asyncio.Task[None]":
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return self._looking

    async def _look(self) -> None:
        try:
            targets = self._targets()
            reached = await asyncio.gather(
                *(self._is_there(provider, url) for provider, url in targets.items()), return_exceptions=True
            )
            is_offline = bool(targets) and not any(one is True for one in reached)
            if is_offline != self._is_offline:
                logger.warning("no cloud can be reached: local models answer" if is_offline else "the clouds are back")
            self._is_offline = is_offline
        finally:
            self._looked_at = time.monotonic()
            self._looking = None

    async def _is_there(self, provider: str, url: str) -> bool:
        has_open = any(key.startswith(f"{provider}/") for key in self._circuits.open_keys())
        silent_seconds = time.monotonic() - self._heard_from.get(provider, -1e9)
        if has_open and silent_seconds > self._circuits.open_seconds:
            return False
        return await is_reachable(url)


async def is_reachable(url: str) -> bool:
    """Whether a TCP connection to this URL's host comes about, within KNOCK_SECONDS."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True
