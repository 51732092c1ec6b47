"""Who is let in, who is rung for, and what the others are told."""

from typing import Any

import pytest

from api.backlog import Backlog
from api.database import Database, Row
from api.pace import LONGEST_SECONDS, SHORTEST_SECONDS, Pace
from common.database.connect import connect
from common.errors import Busy, DependencyDown
from common.lanes import FRONT_JOBS, Lane


class CountingDatabase(Database):
    """Answers every question with `rows`; None is a database that is away."""

    def __init__(self) -> None:
        super().__init__(connect("postgresql://nobody@127.0.0.1:1/none"))
        self.rows: list[Row] | None = []

    async def fetch(self, statement: Any, *, seconds: float = 1) -> list[Row]:
        if self.rows is None:
            raise DependencyDown
        return self.rows


def let_in(backlog: Backlog, owner: str) -> Lane | None:
    """One more, stored at once."""
    with backlog.admit(owner) as lane:
        return lane


def row(owner: str, queued: int, running: int = 0) -> Row:
    return {"owner": owner, "queued": queued, "running": running}


class Clock:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database() -> CountingDatabase:
    return CountingDatabase()


def test_an_owners_first_jobs_are_rung_for_in_front_then_in_the_back_then_not(database: CountingDatabase) -> None:
    backlog = Backlog(database, limit=1000, places=FRONT_JOBS + 5)
    lanes = [let_in(backlog, "a") for _ in range(FRONT_JOBS + 7)]
    assert lanes == [Lane.FRONT] * FRONT_JOBS + [Lane.BACK] * 5 + [None] * 2
    assert let_in(backlog, "b") is Lane.FRONT


async def test_what_is_at_work_counts_as_well_as_what_waits(database: CountingDatabase) -> None:
    backlog = Backlog(database, limit=1000, places=50)
    database.rows = [row("a", queued=10, running=40), row("b", queued=0, running=49)]
    await backlog.count()
    assert let_in(backlog, "a") is None
    assert [let_in(backlog, "b"), let_in(backlog, "b")] == [Lane.BACK, None]


async def test_one_owner_cannot_take_the_places_of_all(database: CountingDatabase) -> None:
    backlog = Backlog(database, limit=10, places=5)
    for _ in range(8):
        let_in(backlog, "a")
    with pytest.raises(Busy, match="of this key"):
        let_in(backlog, "a")
    let_in(backlog, "b")
    let_in(backlog, "b")
    with pytest.raises(Busy, match="10 jobs wait"):
        let_in(backlog, "c")


async def test_a_count_takes_the_place_of_what_was_believed(database: CountingDatabase) -> None:
    backlog = Backlog(database, limit=2, places=5)
    let_in(backlog, "a")
    let_in(backlog, "a")
    database.rows = None
    await backlog.count()
    with pytest.raises(Busy):
        let_in(backlog, "a")
    database.rows = [row("a", queued=1)]
    await backlog.count()
    let_in(backlog, "a")


async def test_who_is_stored_during_a_count_is_counted_twice_rather_than_not_at_all(
    database: CountingDatabase,
) -> None:
    backlog = Backlog(database, limit=3, places=5)
    with backlog.admit("a"):
        let_in(backlog, "b")
        database.rows = [row("b", queued=1)]  # as Postgres was before "a" was stored
        await backlog.count()
    let_in(backlog, "b")
    with pytest.raises(Busy, match="3 jobs wait"):
        let_in(backlog, "c")
    database.rows = [row("a", queued=1), row("b", queued=1)]
    await backlog.count()
    let_in(backlog, "c")


async def test_who_is_refused_is_told_when_a_place_will_be_free(database: CountingDatabase) -> None:
    clock = Clock()
    backlog = Backlog(database, limit=100, places=5, clock=clock)
    database.rows = [row("a", queued=80)]
    await backlog.count()
    clock.now, database.rows = 4.0, [row("a", queued=80)]
    for owner in ["b"] * 20:
        let_in(backlog, owner)
    await backlog.count()  # twenty begun in four seconds
    seconds = []
    for _ in range(100):
        with pytest.raises(Busy) as refusal:
            let_in(backlog, "a")
        assert refusal.value.retry_after_seconds is not None
        seconds.append(refusal.value.retry_after_seconds)
    assert SHORTEST_SECONDS <= seconds[0] < 2
    assert 29 <= seconds[-1] <= 51  # the hundredth, at two and a half a second, give or take a quarter


def test_while_nothing_begins_everybody_is_told_to_wait_but_not_for_ever() -> None:
    pace = Pace(jitter=lambda _low, high: high)
    assert SHORTEST_SECONDS < pace.refuse() <= LONGEST_SECONDS
    pace.observe(begun=-5, seconds=1)
    assert pace.refuse() <= LONGEST_SECONDS
    pace.observe(begun=1, seconds=0)
    for _ in range(1000):
        pace.refuse()
    assert pace.refuse() <= LONGEST_SECONDS
