"""The limits' rules, tried with any order of any requests."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from common.admission.operations import LEASE_MILLISECONDS, RefusedBy, Renew, Reserve, Settle, Verdict
from common.admission.rules import Account

START = 1_700_000_000_000
MINUTE = 60_000


def reserve(lease: str = "a", *, tokens: int = 0, cost: int = 0, spent: int = 0, **limits: int) -> Reserve:
    return Reserve("key", lease, tokens, cost, "2026-11", spent, **limits)


def settle(verdict: Verdict, lease: str = "a", *, tokens: int = 0, cost: int = 0) -> Settle:
    return Settle("key", lease, verdict.slot, tokens, cost, "2026-11")


@dataclass
class Admitted:
    """What a call came to, and when."""

    at: int
    tokens: int


requests = st.lists(
    st.tuples(
        st.integers(0, 40_000),  # milliseconds since the one before
        st.integers(0, 60),  # tokens it asks for
        st.none() | st.integers(0, 60),  # those of them that it gives back at once, if it does
    ),
    max_size=60,
)


@given(requests, st.integers(1, 10), st.integers(1, 100))
def test_no_window_of_a_minute_has_more_than_its_limits(
    asked: Sequence[tuple[int, int, int | None]], requests_limit: int, tokens_limit: int
) -> None:
    account, now, admitted = Account(), START, list[Admitted]()
    for pause, tokens, returned in asked:
        now += pause
        verdict = account.reserve(reserve(tokens=tokens, requests_limit=requests_limit, tokens_limit=tokens_limit), now)
        if verdict.refused_by == RefusedBy.NOTHING:
            kept = tokens - min(returned or 0, tokens)
            account.settle(settle(verdict, tokens=kept - tokens), now)
            admitted.append(Admitted(now, kept))
    for first in admitted:
        window = [one for one in admitted if first.at <= one.at < first.at + MINUTE]
        assert len(window) <= requests_limit
        assert sum(one.tokens for one in window) <= tokens_limit


@given(requests, st.integers(1, 5), st.integers(1, 100))
def test_who_waits_as_long_as_was_said_is_admitted(
    asked: Sequence[tuple[int, int, int | None]], requests_limit: int, tokens_limit: int
) -> None:
    account, now = Account(), START
    for pause, tokens, _ in asked:
        now += pause
        wish = reserve(tokens=min(tokens, tokens_limit), requests_limit=requests_limit, tokens_limit=tokens_limit)
        verdict = account.reserve(wish, now)
        for _ in range(2):  # at most once for each of the two limits
            if verdict.refused_by != RefusedBy.NOTHING:
                assert account.reserve(wish, now + verdict.wait - 1).refused_by != RefusedBy.NOTHING
                now += verdict.wait
                verdict = account.reserve(wish, now)
        assert verdict.refused_by == RefusedBy.NOTHING


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 120_000))
def test_settling_leaves_what_asking_for_the_right_number_at_once_would_have(
    estimated: int, used: int, later: int
) -> None:
    limit = {"tokens_limit": 2000}
    guessed, exact = Account(), Account()
    verdict = guessed.reserve(reserve(tokens=estimated, **limit), START)
    guessed.settle(settle(verdict, tokens=min(used - estimated, 0)), START + later)
    exact.reserve(reserve(tokens=min(used, estimated), **limit), START)
    look = reserve(tokens=0, **limit)
    now = START + later
    assert guessed.reserve(look, now).tokens_left == exact.reserve(look, now).tokens_left


def test_what_was_used_beyond_the_estimate_counts_from_when_it_is_known() -> None:
    account = Account()
    verdict = account.reserve(reserve(tokens=10, tokens_limit=100), START)
    account.settle(settle(verdict, tokens=200), START + 30_000)
    refused = account.reserve(reserve(tokens=1, tokens_limit=100), START + 40_000)
    assert (refused.refused_by, refused.tokens_left, refused.wait) == (RefusedBy.TOKENS, 0, 51_000)
    assert refused.tokens_reset == 51_000
    assert account.reserve(reserve(tokens=1, tokens_limit=100), START + 91_000).refused_by == RefusedBy.NOTHING


def test_who_needs_what_several_hold_waits_for_the_last_of_them() -> None:
    account, limit = Account(), {"tokens_limit": 100}
    account.reserve(reserve(tokens=40, **limit), START)
    account.reserve(reserve(tokens=40, **limit), START + 10_000)
    assert account.reserve(reserve(tokens=60, **limit), START + 20_000).wait == 41_000
    assert account.reserve(reserve(tokens=90, **limit), START + 20_000).wait == 51_000


def test_who_asks_for_more_than_the_limit_is_told_the_whole_window() -> None:
    refused = Account().reserve(reserve(tokens=101, tokens_limit=100), START)
    assert (refused.refused_by, refused.wait) == (RefusedBy.TOKENS, 61_000)


def test_of_limits_that_a_key_has_not_nothing_is_told() -> None:
    account = Account()
    account.reserve(reserve(tokens=30), START)
    assert account.reserve(reserve(tokens=30), START) == Verdict(RefusedBy.NOTHING, slot=START // 1000)


def test_parallel_calls_are_counted_until_they_end_or_their_leases_do() -> None:
    account, two = Account(), {"parallel_limit": 2}
    first = account.reserve(reserve("a", **two), START)
    assert account.reserve(reserve("b", **two), START).refused_by == RefusedBy.NOTHING
    assert account.reserve(reserve("c", **two), START).refused_by == RefusedBy.PARALLEL
    account.settle(settle(first, "a"), START + 1)
    assert account.reserve(reserve("c", **two), START + 1).refused_by == RefusedBy.NOTHING
    account.renew(Renew("key", "c", 0), START + 20_000)
    fourth = account.reserve(reserve("d", **two), START + LEASE_MILLISECONDS)  # b is never heard of again
    assert fourth.refused_by == RefusedBy.NOTHING
    assert account.reserve(reserve("e", **two), START + LEASE_MILLISECONDS).refused_by == RefusedBy.PARALLEL


def test_a_lease_that_ran_out_and_is_renewed_counts_again() -> None:
    account, one = Account(), {"parallel_limit": 1}
    account.reserve(reserve("a", **one), START)
    late = START + 2 * LEASE_MILLISECONDS
    account.renew(Renew("key", "a", 0), late)
    assert account.reserve(reserve("b", **one), late).refused_by == RefusedBy.PARALLEL


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=40), st.integers(0, 300))
def test_reserved_and_spent_together_never_exceed_the_budget(calls: list[tuple[int, int]], budget: int) -> None:
    account, spent, held = Account(), 0, dict[int, int]()
    for number, (estimate, real) in enumerate(calls):
        asked = reserve(str(number), cost=estimate, budget=budget)
        verdict = account.reserve(asked, START)
        assert (verdict.refused_by == RefusedBy.NOTHING) == (spent + sum(held.values()) + estimate <= budget)
        if verdict.refused_by == RefusedBy.NOTHING:
            held[number] = estimate
            if number % 3:  # every third goes on
                cost = min(real, estimate)
                account.settle(settle(verdict, str(number), cost=cost), START)
                spent += cost
                del held[number]
        assert spent + sum(held.values()) <= budget


def test_what_costs_nothing_is_admitted_however_much_is_spent() -> None:
    account = Account()
    assert account.reserve(reserve("a", cost=1, spent=900, budget=100), START).refused_by == RefusedBy.BUDGET
    assert account.reserve(reserve("b", cost=0, spent=900, budget=100), START).refused_by == RefusedBy.NOTHING


def test_a_clock_that_is_set_back_lets_nobody_through_twice() -> None:
    account, one = Account(), {"requests_limit": 1}
    account.reserve(reserve(**one), START)
    assert account.reserve(reserve(**one), START - 3_600_000).refused_by == RefusedBy.REQUESTS
    assert account.reserve(reserve(**one), START + 61_000).refused_by == RefusedBy.NOTHING


def test_what_stands_still_to_be_had_is_told_with_every_answer() -> None:
    account = Account()
    limits = {"requests_limit": 2, "tokens_limit": 100}
    assert account.reserve(reserve(tokens=30, **limits), START) == Verdict(
        RefusedBy.NOTHING,
        requests_left=1,
        requests_reset=61_000,
        tokens_left=70,
        tokens_reset=61_000,
        slot=START // 1000,
    )
    refused = account.reserve(reserve(tokens=80, **limits), START + 10_000)
    assert refused[:6] == (RefusedBy.TOKENS, 51_000, 1, 51_000, 70, 51_000)
