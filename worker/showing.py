"""Tokens on their way to watchers."""

import time

from common.events import EventSink
from worker.store import Claim

# 25 ms: below it a stream of tokens becomes an XADD a token; above it people see text arrive in lumps.
COALESCE_SECONDS = 0.025


class Showing:
    """The pieces of one answer as events: the first at once, then one every `COALESCE_SECONDS`."""

    def __init__(self, events: EventSink, claim: Claim) -> None:
        self._events = events
        self._claim = claim
        self._pieces: list[str] = []
        self._due = 0.0

    def add(self, text: str) -> None:
        self._pieces.append(text)
        if time.perf_counter() >= self._due:
            self.flush()

    def flush(self) -> None:
        if self._pieces:
            data = {
                "call": str(self._claim.call_id),
                "model": self._claim.model,
                "text": "".join(self._pieces),
            }
            self._events.append(self._claim.job_id, "call.delta", data)
            self._pieces.clear()
            self._due = time.perf_counter() + COALESCE_SECONDS
