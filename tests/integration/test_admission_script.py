"""The script in Redis against the rules in memory: the same operations, the same answers, at any times."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from common.admission.operations import NONE, Operation, Renew, Reserve, Settle, Verdict
from common.admission.rules import Account
from common.admission.script import PREFIX, SCRIPT

START = 1_700_000_000_000
LEASES = ("a", "b", "c", "d")

steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "renew"]),
        st.integers(0, 70_000),  # milliseconds since the step before
        st.sampled_from(LEASES),
        st.integers(0, 50),  # tokens
        st.integers(0, 50),  # cost
    ),
    max_size=40,
)
limits = st.fixed_dictionaries(
    {
        "requests_limit": st.just(NONE) | st.integers(1, 5),
        "tokens_limit": st.just(NONE) | st.integers(1, 120),
        "parallel_limit": st.just(NONE) | st.integers(1, 3),
        "budget": st.just(NONE) | st.integers(0, 120),
    }
)


@pytest.fixture
def redis(redis_url: str) -> Iterator["Redis"]:
    with Redis.from_url(redis_url) as client:
        yield client


@given(steps, limits, st.integers(0, 100))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_script_and_rules_agree(redis: "Redis", steps: list[Any], limits: dict[str, int], spent: int) -> None:
    redis.flushdb()
    script, account, now = redis.register_script(SCRIPT), Account(), START
    slots: dict[str, int] = {}
    for kind, pause, lease, tokens, cost in steps:
        now += pause
        operation: Operation
        if kind == "reserve":
            operation = Reserve("key", lease, tokens, cost, "2026-11", spent, **limits)
        elif kind == "settle":
            surplus = tokens - 25 if limits["tokens_limit"] != NONE else 0
            operation = Settle("key", lease, slots.get(lease, START // 1000), surplus, cost, "2026-11")
        else:
            operation = Renew("key", lease, cost)
        [answer] = script(args=[orjson.dumps([operation]), now])
        if isinstance(operation, Reserve):
            verdict = account.reserve(operation, now)
            assert Verdict(*answer) == verdict
            slots[lease] = verdict.slot
        elif isinstance(operation, Settle):
            account.settle(operation, now)
        else:
            account.renew(operation, now)


def test_a_clock_that_is_set_back_lets_nobody_through_twice(redis: "Redis") -> None:
    script = redis.register_script(SCRIPT)
    asked = orjson.dumps([Reserve("key", "a", 0, 0, "2026-11", 0, requests_limit=1)])
    refusals = [script(args=[asked, now])[0][0] for now in (START, START - 3_600_000, START + 60_999, START + 61_000)]
    assert refusals == [0, 1, 1, 0]


def test_what_nobody_asks_for_any_more_goes_of_itself(redis: "Redis") -> None:
    everything = Reserve("key", "a", 5, 5, "2026-11", 1, 10, 10, 10, 10)
    redis.register_script(SCRIPT)(args=[orjson.dumps([everything, Settle("key", "b", 0, 5, 5, "2026-11")])])
    names = {name.decode().removeprefix(PREFIX) for name in redis.scan_iter("*")}
    assert names == {"key", "key:leases", "key:held", "key:spent:2026-11"}
    assert all(redis.ttl(PREFIX + name) > 0 for name in names)


def test_large_sums_are_counted_to_the_last_unit(redis: "Redis") -> None:
    much = 4_503_599_627_370_497
    script = redis.register_script(SCRIPT)
    asked = Reserve("key", "a", 1, 1, "2026-11", much, budget=much + 2)
    assert script(args=[orjson.dumps([asked])])[0][0] == 0
    script(args=[orjson.dumps([Settle("key", "a", 0, 0, 1, "2026-11")])])
    assert redis.get(f"{PREFIX}key:spent:2026-11") == str(much + 1).encode()
