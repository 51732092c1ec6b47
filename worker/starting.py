"""The wait of a call for its model's container: within no deadline of its own, and on nobody's thread."""

import time
from collections.abc import Callable
from uuid import UUID

from common.catalog.entry import ModelEntry
from common.catalog.local import LocalModel
from common.events import EventSink
from common.fleet.fleet import Fleet
from common.fleet.standing import Standing
from worker.store import Claim


class Starting:
    """Waits for containers, and tells those who watch. Belongs to one event loop.

    `part` lets the thread that brought a call go: what waits here needs none.
    """

    def __init__(self, fleet: Fleet, events: EventSink, part: Callable[[UUID], None]) -> None:
        self._fleet = fleet
        self._events = events
        self._part = part

    async def wait(self, claim: Claim, entry: ModelEntry) -> float | None:
        """Have the model of this call running; returns the milliseconds that took, None if it ran.

        Raises:
            NotStarted: it does not start; says why.
        """
        if not isinstance(entry, LocalModel) or self._fleet.endpoint(entry.id) is not None:
            return None
        began = time.perf_counter()
        has_waited = False

        def told(standing: Standing) -> None:
            nonlocal has_waited
            has_waited = True
            self._part(claim.call_id)
            waiting = {"call": str(claim.call_id), "model": claim.model, "asked": entry.id, **standing.shown()}
            self._events.append(claim.job_id, "call.waiting", waiting)

        await self._fleet.ready(entry, told=told)
        return round((time.perf_counter() - began) * 1000, 1) if has_waited else None
