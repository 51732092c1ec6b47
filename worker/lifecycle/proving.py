"""Having instances generate their first token, in the background, one probe an instance at a time."""

import asyncio
import logging
from collections.abc import Callable

from common.catalog.local import LocalModel
from common.ending import end
from common.fleet.contracts import Fault
from common.fleet.store import FleetStore
from worker.lifecycle.probing import NotYet, Prober

# A runner that says it is ready and then cannot be asked, so often in a row, is not.
ATTEMPTS = 3

logger = logging.getLogger(__name__)


class Proving:
    """Belongs to an event loop. `faults` are of instances that will not generate, by their containers."""

    def __init__(self, store: FleetStore, prober: Prober, wake: Callable[[], None]) -> None:
        self._store = store
        self._prober = prober
        self._wake = wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self.faults: dict[str, Fault] = {}

    def begin(self, entry: LocalModel, container: str, base_url: str) -> None:
        """Probe, unless that is under way."""
        if container not in self._tasks:
            self._tasks[container] = asyncio.create_task(self._prove(entry, container, base_url))

    def forget_all_but(self, there: set[str]) -> None:
        """Containers that are gone are nobody's concern any more."""
        self.faults = {container: fault for container, fault in self.faults.items() if container in there}
        self._failures = {container: n for container, n in self._failures.items() if container in there}

    async def close(self) -> None:
        await end(self._tasks.values())

    async def _prove(self, entry: LocalModel, container: str, base_url: str) -> None:
        try:
            match await self._prober.prove(entry, base_url):
                case None:
                    await self._store.proved(container)
                case Fault() as fault:
                    self.faults[container] = fault
                case NotYet(reason):
                    self._count(container, reason)
        except Exception:
            # Postgres away, or a fault of ours: the next plan asks again
            logger.exception("%s could not be proved", entry.id)
        finally:
            del self._tasks[container]
            self._wake()

    def _count(self, container: str, reason: str) -> None:
        self._failures[container] = self._failures.get(container, 0) + 1
        if self._failures[container] >= ATTEMPTS:
            self.faults[container] = Fault(
                "cannot_generate", f"It says that it is ready, and generated nothing {ATTEMPTS} times: {reason}"
            )
