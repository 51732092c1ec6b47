"""What the keys with a budget have spent, as Postgres knows it: of both planes, and of times before Redis was emptied.

The accounts in Redis count what the gateway spends by themselves. This is the floor under them: what they have
forgotten, and what the key's jobs came to meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from common.contracts.limits import NANOS, BudgetPeriod
from common.ending import end
from common.errors import DependencyDown

# So long may a key go on spending that its jobs have used up its budget.
FRESH_SECONDS = 10.0
# Room for every key with a budget; past it the oldest are asked for anew.
MAX_KEYS = 10_000

# (owner, since) -> US dollars
Ask = Callable[[str, datetime], Awaitable[float]]

logger = logging.getLogger(__name__)


class Spending:
    """Asks at most every FRESH_SECONDS a key, and lets nobody wait but who is the first. Belongs to one event loop."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[tuple[str, str], int] = {}
        self._asked_at: dict[tuple[str, str], float] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def known(self, key: str, period: BudgetPeriod) -> int:
        """Billionths of a dollar that are known to be spent; 0 while nothing is known. Never raises."""
        name = (key, period.name)
        if time.monotonic() >= self._asked_at.get(name, -FRESH_SECONDS) + FRESH_SECONDS and name not in self._asking:
            self._asking[name] = asyncio.create_task(self._refresh(name, period))
        if name not in self._known and name in self._asking:
            await asyncio.shield(self._asking[name])
        return self._known.get(name, 0)

    async def close(self) -> None:
        """Stop asking."""
        await end(self._asking.values())

    async def _refresh(self, name: tuple[str, str], period: BudgetPeriod) -> None:
        try:
            dollars = await self._ask(name[0], period.start)
        except DependencyDown as error:
            logger.warning("what key %s has spent is not known anew: %s", name[0], error.message)
        else:
            if len(self._known) >= MAX_KEYS and name not in self._known:
                self._known.clear()
                self._asked_at.clear()
            self._known[name] = round(dollars * NANOS)
        finally:
            self._asked_at[name] = time.monotonic()
            del self._asking[name]
