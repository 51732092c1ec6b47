"""Those of one process that wait for a model, together."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from common.errors import NotStarted
from common.fleet.contracts import Endpoint
from common.fleet.standing import Standing

Told = Callable[[Standing], None]


class Watch:
    """One wish, however many wait for it. Belongs to one event loop."""

    def __init__(self, model: str, begun_at: float) -> None:
        self.model = model
        self.begun_at = begun_at
        # None until the wish was written
        self.wanted_at: datetime | None = None
        self._standing: Standing | None = None
        self._waiters: list[Told] = []
        self._outcome: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()

    @property
    def is_left(self) -> bool:
        """Whether nobody waits any more."""
        return not self._waiters

    @property
    def has_told(self) -> bool:
        """Whether those who wait had to be told of anything: whose model was ready were not."""
        return self._standing is not None

    @contextmanager
    def joined(self, told: Told) -> Iterator[None]:
        """Wait with the others; `told` hears how the model stands, now if that is known, and whenever it changes."""
        self._waiters.append(told)
        if self._standing is not None:
            told(self._standing)
        try:
            yield
        finally:
            self._waiters.remove(told)

    async def outcome(self) -> Endpoint:
        """Where it answers.

        Raises:
            NotStarted: it does not, and why.
        """
        return await asyncio.shield(self._outcome)

    def tell(self, standing: Standing) -> None:
        """It is not ready yet; this is how it stands."""
        is_news = self._standing is None or standing.shown() != self._standing.shown()
        self._standing = standing
        if is_news:
            for told in list(self._waiters):
                told(standing)

    def answer(self, endpoint: Endpoint) -> None:
        """It is ready."""
        if not self._outcome.done():
            self._outcome.set_result(endpoint)

    def refuse(self, error: Exception) -> None:
        """It will not be."""
        if not self._outcome.done() and self._waiters:
            self._outcome.set_exception(error)

    def late(self, seconds: float) -> NotStarted:
        """What somebody is told who waited for so long."""
        standing = self._standing
        shown: dict[str, Any] = {"state": "not asked for", "reason": None} if standing is None else standing.shown()
        why = f": {shown['reason']}" if shown["reason"] else "."
        return NotStarted(f"{self.model} was not ready within {seconds:g} s; it is {shown['state']}{why}")
