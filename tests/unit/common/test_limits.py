from datetime import UTC, datetime, timedelta, timezone

import pytest

from common.admission.headers import duration
from common.contracts.limits import Limits, Period, period_at


@pytest.mark.parametrize(
    ("kind", "now", "name", "end"),
    [
        ("day", datetime(2026, 3, 31, 23, 59, tzinfo=UTC), "2026-03-31+1", datetime(2026, 4, 1, tzinfo=UTC)),
        ("month", datetime(2026, 3, 31, 23, 59, tzinfo=UTC), "2026-03-01+31", datetime(2026, 4, 1, tzinfo=UTC)),
        ("month", datetime(2026, 12, 1, tzinfo=UTC), "2026-12-01+31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("month", datetime(2028, 2, 29, tzinfo=UTC), "2028-02-01+29", datetime(2028, 3, 1, tzinfo=UTC)),
        (
            "day",
            datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            "2026-02-28+1",
            datetime(2026, 3, 1, tzinfo=UTC),
        ),
    ],
)
def test_periods_are_calendar_days_and_months_of_utc(kind: Period, now: datetime, name: str, end: datetime) -> None:
    period = period_at(kind, now)
    assert (period.name, period.end) == (name, end)


def test_only_a_key_with_limits_is_metered_and_a_list_of_models_is_none() -> None:
    assert not Limits(models=frozenset({"mock-a"})).is_metered
    assert Limits(budget_usd=0).is_metered
    assert Limits(parallel_calls=1).is_metered


def test_a_list_of_models_allows_those_and_no_list_allows_all() -> None:
    assert Limits().allow("mock-b")
    assert Limits(models=frozenset({"mock-a"})).allow("mock-a")
    assert not Limits(models=frozenset({"mock-a"})).allow("mock-b")


@pytest.mark.parametrize(
    ("milliseconds", "spelled"),
    [(0, "0s"), (20, "20ms"), (1000, "1s"), (8640, "8.64s"), (60_000, "1m0s"), (61_000, "1m1s"), (10_000, "10s")],
)
def test_times_are_spelled_as_openai_spells_them(milliseconds: int, spelled: str) -> None:
    assert duration(milliseconds) == spelled
