"""Who holds a model's slots and who waits for one, in memory: what a process goes by while Redis is away.

`slots.py` asks the same of a script in Redis. Whoever waits looks again and again: one that no longer does is dead,
and out of the line after SEEN_SECONDS.
"""

from dataclasses import dataclass

# A call's slot is its process's for so long, unless renewed.
LEASE_SECONDS = 30.0
# Several times the longest pause between two looks.
SEEN_SECONDS = 5.0

GRANTED = -1
TURNED_AWAY = -2


@dataclass(slots=True)
class Waiter:
    """One in the line. `turn` is when it came, and later by what it lets others go before it."""

    turn: float
    seen_at: float


class Room:
    """One model's slots and its line."""

    def __init__(self) -> None:
        self._holders: dict[str, float] = {}
        self._line: dict[str, Waiter] = {}

    def look(self, token: str, slots: int, max_ahead: int, handicap: float, now: float) -> int:
        """GRANTED, TURNED_AWAY if more than `max_ahead` would be before it, or how many are before it in the line."""
        self._forget(now)
        if token in self._holders:
            return GRANTED
        is_new = token not in self._line
        waiter = self._line.setdefault(token, Waiter(now + handicap, now))
        waiter.seen_at = now
        ahead = sum((one.turn, name) < (waiter.turn, token) for name, one in self._line.items())
        free = slots - len(self._holders)
        if ahead < free:
            del self._line[token]
            self._holders[token] = now + LEASE_SECONDS
            return GRANTED
        behind_free = ahead - max(free, 0)
        if is_new and behind_free >= max_ahead:
            del self._line[token]
            return TURNED_AWAY
        return behind_free

    def leave(self, token: str) -> None:
        """Give up the slot, or the place in the line."""
        self._holders.pop(token, None)
        self._line.pop(token, None)

    def renew(self, token: str, now: float) -> None:
        """Hold the slot from now on, whoever gave it."""
        self._holders[token] = now + LEASE_SECONDS

    def _forget(self, now: float) -> None:
        self._holders = {token: until for token, until in self._holders.items() if until > now}
        self._line = {token: one for token, one in self._line.items() if one.seen_at + SEEN_SECONDS > now}
