"""The rules, in memory: what one process goes by while Redis is away, and what its script must agree with.

Requests and tokens are counted by the second in which they were admitted, and count until that whole second is
`WINDOW_SECONDS` past. So they count a little longer than they must, never shorter, and an account needs 61
numbers however high its limits are, where a log would need one a request. (A token bucket needs two, and lets
twice the limit through in some windows: all that was saved, and what drips in.)
"""

from collections.abc import Iterator

from common.admission.operations import (
    LEASE_MILLISECONDS,
    NONE,
    WINDOW_SECONDS,
    RefusedBy,
    Renew,
    Reserve,
    Settle,
    Verdict,
)

MILLISECONDS = 1000


class Window:
    """How much was admitted in which second, of those that still count."""

    def __init__(self) -> None:
        self.total = 0
        self._by_slot: dict[int, int] = {}

    def forget(self, first: int) -> None:
        """Drop the seconds before `first`."""
        for slot in [one for one in self._by_slot if one < first]:
            self.total -= self._by_slot.pop(slot)

    def add(self, slot: int, amount: int) -> None:
        """Count `amount` in `slot`."""
        self._by_slot[slot] = self._by_slot.get(slot, 0) + amount
        self.total += amount

    def give_back(self, slot: int, amount: int) -> None:
        """Take `amount` out of `slot`, as far as it is there."""
        returned = min(amount, self._by_slot.get(slot, 0))
        if returned:
            self._by_slot[slot] -= returned
            self.total -= returned

    def wait(self, excess: int, now: int) -> int:
        """Milliseconds until at least `excess` is counted no more; the whole window if it never will be."""
        for slot in sorted(self._by_slot):
            excess -= self._by_slot[slot]
            if excess <= 0:
                return _end(slot) - now
        return (WINDOW_SECONDS + 1) * MILLISECONDS


class Account:
    """What one key has used and holds. Time is whatever clock the caller has, in milliseconds."""

    def __init__(self) -> None:
        self._slot = 0
        # the last second in which something was counted
        self._last = 0
        self._requests = Window()
        self._tokens = Window()
        # by lease: when it expires, and how much of the budget it holds
        self._leases: dict[str, tuple[int, int]] = {}
        self._spent: dict[str, int] = {}

    def reserve(self, asked: Reserve, now: int) -> Verdict:
        """Admit the call, or say which limit forbids it, the budget's before those that time alone mends."""
        slot = self._move_to(now)
        refused_by, wait = RefusedBy.NOTHING, 0
        if self._is_over_budget(asked):
            refused_by = RefusedBy.BUDGET
        elif _is_over(self._requests.total, 1, asked.requests_limit):
            refused_by = RefusedBy.REQUESTS
            wait = self._requests.wait(self._requests.total + 1 - asked.requests_limit, now)
        elif _is_over(self._tokens.total, asked.tokens, asked.tokens_limit):
            refused_by = RefusedBy.TOKENS
            wait = self._tokens.wait(self._tokens.total + asked.tokens - asked.tokens_limit, now)
        elif _is_over(len(self._leases), 1, asked.parallel_limit):
            refused_by = RefusedBy.PARALLEL
        else:
            self._charge(asked, slot, now)
        return Verdict(
            refused_by,
            wait,
            _left(asked.requests_limit, self._requests.total),
            self._reset(self._requests, now),
            _left(asked.tokens_limit, self._tokens.total),
            self._reset(self._tokens, now),
            slot,
        )

    def settle(self, ended: Settle, now: int) -> None:
        """Give back what was reserved in vain, charge what was used beyond it, and free the lease."""
        slot = self._move_to(now)
        if ended.tokens < 0:
            self._tokens.give_back(ended.slot, -ended.tokens)
        elif ended.tokens > 0:
            self._tokens.add(slot, ended.tokens)
            self._last = slot
        self._leases.pop(ended.lease, None)
        if ended.cost:
            self._spent[ended.period] = self._spent.get(ended.period, 0) + ended.cost

    def renew(self, going: Renew, now: int) -> None:
        """Hold the lease from now on, even if it has expired meanwhile."""
        self._leases[going.lease] = (now + LEASE_MILLISECONDS, going.cost)

    def _move_to(self, now: int) -> int:
        """The second that it is. A clock that is set back stands still here until it has caught up."""
        self._slot = max(self._slot, now // MILLISECONDS)
        for window in (self._requests, self._tokens):
            window.forget(self._slot - WINDOW_SECONDS)
        for lease in list(self._expired(now)):
            del self._leases[lease]
        return self._slot

    def _expired(self, now: int) -> Iterator[str]:
        return (lease for lease, (until, _) in self._leases.items() if until <= now)

    def _is_over_budget(self, asked: Reserve) -> bool:
        """What costs nothing is never over it."""
        if asked.cost == 0 or asked.budget == NONE:
            return False
        spent = self._spent[asked.period] = max(self._spent.get(asked.period, 0), asked.spent)
        return _is_over(spent + sum(held for _, held in self._leases.values()), asked.cost, asked.budget)

    def _charge(self, asked: Reserve, slot: int, now: int) -> None:
        self._last = slot
        if asked.requests_limit != NONE:
            self._requests.add(slot, 1)
        if asked.tokens_limit != NONE:
            self._tokens.add(slot, asked.tokens)
        if asked.has_lease:
            self._leases[asked.lease] = (now + LEASE_MILLISECONDS, asked.cost)

    def _reset(self, window: Window, now: int) -> int:
        """Milliseconds until nothing is counted."""
        return max(_end(self._last) - now, 0) if window.total else 0


def _is_over(used: int, more: int, limit: int) -> bool:
    return limit != NONE and used + more > limit


def _left(limit: int, used: int) -> int:
    return NONE if limit == NONE else max(limit - used, 0)


def _end(slot: int) -> int:
    """When what was admitted in this second counts no more."""
    return (slot + WINDOW_SECONDS + 1) * MILLISECONDS
