"""What is asked of a key's account, and what it answers: the same to the script in Redis and to the rules in memory.

Money is in billionths of a dollar, time in milliseconds, and -1 stands where there is no limit: Lua's JSON has
no null that compares.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

NONE = -1
# In no window of so long is more admitted than the limit.
WINDOW_SECONDS = 60
# A call's share of the parallel calls and of the budget is its process's for so long, unless renewed: what a
# killed process held is free again then.
LEASE_MILLISECONDS = 30_000


class RefusedBy(IntEnum):
    """The limit that stood in the way."""

    NOTHING = 0
    REQUESTS = 1
    TOKENS = 2
    PARALLEL = 3
    BUDGET = 4


# Nobody changes these, and yet they are not frozen: they are made for each request, and it would take thrice as long.
@dataclass(slots=True)
class Reserve:
    """Admit one call of `key` if all of its limits allow it, or change nothing.

    `tokens` and `cost` are estimates, `cost` 0 only for what is free: that is admitted however much is spent.
    `spent` is what the period is known to have cost; where the account thinks it was less, the account is wrong.
    """

    key: str
    lease: str
    tokens: int
    cost: int
    period: str
    spent: int
    requests_limit: int = NONE
    tokens_limit: int = NONE
    parallel_limit: int = NONE
    budget: int = NONE
    op: Literal["reserve"] = "reserve"

    @property
    def has_lease(self) -> bool:
        """Whether the call holds something that must be given back."""
        return self.parallel_limit != NONE or self.budget != NONE


@dataclass(slots=True)
class Settle:
    """The call is over: `tokens` more (or fewer) than were reserved in `slot`, and `cost` in all."""

    key: str
    lease: str
    slot: int
    tokens: int
    cost: int
    period: str
    op: Literal["settle"] = "settle"


@dataclass(slots=True)
class Renew:
    """The call goes on: hold its lease, and with it `cost` of the budget, for as long again."""

    key: str
    lease: str
    cost: int
    op: Literal["renew"] = "renew"


Operation = Reserve | Settle | Renew


class Verdict(NamedTuple):
    """The answer to a `Reserve`, and how the account stands after it.

    `wait` is when the same call might be admitted; `…_left` -1 where there is no such limit; `…_reset` when all
    of it will be free again if nothing more is asked. `slot` is what a `Settle` must name.
    """

    refused_by: int
    wait: int = 0
    requests_left: int = NONE
    requests_reset: int = 0
    tokens_left: int = NONE
    tokens_reset: int = 0
    slot: int = 0
