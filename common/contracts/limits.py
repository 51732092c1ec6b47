"""What a key may use."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Literal

Period = Literal["day", "month"]
PERIODS: tuple[Period, ...] = ("day", "month")

# What money is counted in: a billionth of a dollar. A token of a cheap model costs some fifty of them, and
# 2**53 of them, up to which every language of ours counts exactly, are nine million dollars.
NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one key; None where there is none.

    Minutes are sliding: in no 60 seconds is more admitted. A period of the budget is a calendar day or month, UTC.
    """

    models: frozenset[str] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel_calls: int | None = None
    budget_usd: float | None = None
    budget_period: Period = "month"

    @property
    def is_metered(self) -> bool:
        """Whether anything must be counted for this key."""
        return not (
            self.requests_per_minute is None
            and self.tokens_per_minute is None
            and self.parallel_calls is None
            and self.budget_usd is None
        )

    def allow(self, model: str) -> bool:
        """Whether the key may ask this model, by its catalog id."""
        return self.models is None or model in self.models


UNLIMITED = Limits()


@dataclass(frozen=True)
class BudgetPeriod:
    """One calendar day or month, UTC: from `start` up to, and without, `end`."""

    start: datetime
    end: datetime

    @cached_property
    def name(self) -> str:
        """`2026-11-01+30`: its first day and its length, which no other period shares."""
        return f"{self.start:%Y-%m-%d}+{(self.end - self.start).days}"


def period_at(kind: Period, now: datetime) -> BudgetPeriod:
    """The period that `now` lies in."""
    return _period_of(kind, now.astimezone(UTC).date())


@lru_cache(maxsize=4)  # today's, of which every request with a budget is asked, and those of the day before
def _period_of(kind: Period, day: date) -> BudgetPeriod:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if kind == "day":
        return BudgetPeriod(start, start + timedelta(days=1))
    start = start.replace(day=1)
    # four days past the 28th is next month, whatever month this is
    return BudgetPeriod(start, (start.replace(day=28) + timedelta(days=4)).replace(day=1))
