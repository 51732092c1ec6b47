import asyncio
from datetime import UTC, datetime

from common.admission.spending import Spending
from common.contracts.limits import NANOS, period_at
from common.errors import DependencyDown

PERIOD = period_at("month", datetime(2026, 11, 21, tzinfo=UTC))


class Books:
    """What Postgres would say, when it is let."""

    def __init__(self, dollars: float = 0.0) -> None:
        self.dollars = dollars
        self.asked: list[tuple[str, datetime]] = []
        self.is_away = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, key: str, since: datetime) -> float:
        self.asked.append((key, since))
        await self.may_answer.wait()
        if self.is_away:
            raise DependencyDown("Postgres")
        return self.dollars


async def test_all_who_ask_first_wait_for_one_answer_which_then_is_known() -> None:
    books = Books(1.5)
    spending = Spending(books)
    first = [await spending.known("k", PERIOD), *await asyncio.gather(*(spending.known("k", PERIOD) for _ in range(5)))]
    assert set(first) == {int(1.5 * NANOS)}
    assert books.asked == [("k", PERIOD.start)]


async def test_what_one_key_has_spent_says_nothing_of_another_or_of_another_period() -> None:
    books = Books(1)
    spending = Spending(books)
    await spending.known("k", PERIOD)
    books.dollars = 2
    assert await spending.known("other", PERIOD) == 2 * NANOS
    assert await spending.known("k", period_at("day", PERIOD.start)) == 2 * NANOS
    assert await spending.known("k", PERIOD) == NANOS


async def test_while_postgres_is_away_nothing_is_known_and_it_is_not_asked_again_at_once() -> None:
    books = Books(1)
    books.is_away = True
    spending = Spending(books)
    assert [await spending.known("k", PERIOD) for _ in range(3)] == [0, 0, 0]
    assert len(books.asked) == 1


async def test_whoever_leaves_takes_the_answer_from_nobody() -> None:
    books = Books(1)
    books.may_answer.clear()
    spending = Spending(books)
    leaves, stays = (asyncio.create_task(spending.known("k", PERIOD)) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.sleep(0)
    books.may_answer.set()
    assert await stays == NANOS


async def test_once_closed_nothing_is_asked_any_more() -> None:
    books = Books(1)
    books.may_answer.clear()
    spending = Spending(books)
    asking = asyncio.create_task(spending.known("k", PERIOD))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await spending.close()
        await asyncio.gather(asking, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}
