"""The cache over a real Valkey: who asks, who waits, and what happens when somebody or something dies."""

import asyncio
import logging
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cli.embedded.stack import Stack
from common.cache import AnswerCache, CachedAnswer
from common.cache.answers import decoded
from common.cache.store import REDIS_SECONDS, AnswerStore, Turn
from common.contracts.calls import Usage

KEY = "a-key"
LEADER_KEY = f"ultra:cache:{KEY}:leader"
WHOLE = CachedAnswer(text="Because of scattering.", finish_reason="stop", usage=Usage(total_tokens=12))
CUT_OFF = CachedAnswer(text="Because of sca", finish_reason="length")
# Only a failure waits for so long.
PATIENCE_SECONDS = 60.0

# A process that takes the lead and then neither answers nor says goodbye.
LEADER = """
import asyncio, sys
from redis.asyncio import Redis
from common.cache import AnswerCache, store

store.REDIS_SECONDS = 60

async def ask():
    print("leading", flush=True)
    await asyncio.Event().wait()

async def main():
    redis = Redis.from_url(sys.argv[1], socket_timeout=60, socket_connect_timeout=60)
    cache = AnswerCache(redis, ttl_seconds=60, lead_seconds=600)
    await cache.answer(sys.argv[2], ask, 600)

asyncio.run(main())
"""


class Model:
    """Says `answer` once it may; with an error in its place it raises that."""

    def __init__(self, answer: CachedAnswer | Exception = WHOLE, *, is_open: bool = True) -> None:
        self.answer = answer
        self.asked = 0
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        if is_open:
            self.may_answer.set()

    async def __call__(self) -> CachedAnswer:
        self.asked += 1
        self.is_asked.set()
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Valkey that answers late is not away, but where a test says so."""
    monkeypatch.setattr("common.cache.store.REDIS_SECONDS", PATIENCE_SECONDS)


def patient(redis_url: str) -> Redis:
    """A client that does not ask twice what is answered late: a look that won the lead would not win it again."""
    return Redis.from_url(redis_url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with patient(redis_url) as client:
        yield client


@pytest.fixture
def cache(redis: Redis) -> AnswerCache:
    """A cache whose leaders nobody takes for dead."""
    return AnswerCache(redis, ttl_seconds=60, lead_seconds=600)


def asking(cache: AnswerCache, model: Model) -> "asyncio.Task[tuple[CachedAnswer, bool]]":
    async def ask() -> tuple[CachedAnswer, bool]:
        # the cache's patience is never what ends a wait here
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await cache.answer(KEY, model, 100 * PATIENCE_SECONDS)

    return asyncio.create_task(ask())


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def looks(redis: Redis) -> int:
    """How often anybody ran a script."""
    return int((await redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"])


async def waiting(redis: Redis, tasks: int) -> None:
    """Until so many callers must have looked at least once more, in a turn of our own loop."""
    seen = await looks(redis)

    async def have_looked() -> bool:
        return await looks(redis) >= seen + tasks

    await until(have_looked)


async def test_the_first_asks_and_the_second_gets_what_it_got(cache: AnswerCache) -> None:
    model = Model()
    assert await cache.answer(KEY, model, 0) == (WHOLE, False)
    assert await cache.answer(KEY, model, 0) == (WHOLE, True)
    assert await cache.answer("another-key", model, 0) == (WHOLE, False)
    assert model.asked == 2


async def test_an_answer_lives_as_long_as_it_was_told_to(redis: Redis) -> None:
    await AnswerCache(redis, ttl_seconds=700).answer(KEY, Model(), 0)
    assert 600_000 < await redis.pttl(f"ultra:cache:{KEY}") <= 700_000
    assert await redis.keys("ultra:*") == [f"ultra:cache:{KEY}".encode()]

    await AnswerCache(redis, ttl_seconds=0.05).answer("short", Model(), 0)

    async def is_gone() -> bool:
        return not await redis.exists("ultra:cache:short")

    await until(is_gone)
    model = Model()
    assert await AnswerCache(redis, ttl_seconds=7).answer("short", model, 0) == (WHOLE, False)


async def test_fifty_equal_calls_of_two_processes_ask_once(redis_url: str, redis: Redis) -> None:
    model = Model(is_open=False)
    async with patient(redis_url) as other:
        caches = [AnswerCache(client, ttl_seconds=60, lead_seconds=600) for client in (redis, other)]
        calls = [asking(caches[number % 2], model) for number in range(50)]
        await model.is_asked.wait()
        await waiting(redis, 100)
        model.may_answer.set()
        found = await asyncio.gather(*calls)
    assert model.asked == 1
    assert [answer for answer, _ in found] == [WHOLE] * 50
    assert sorted(is_cached for _, is_cached in found) == [False] + [True] * 49


async def test_who_leads_and_has_not_heard_of_it_is_told_again(redis: Redis) -> None:
    store = AnswerStore(redis, ttl_seconds=60, lead_seconds=600)
    assert [await store.look(KEY, token) for token in ("one", "one", "other")] == [Turn.LEAD, Turn.LEAD, Turn.WAIT]


async def test_a_lead_is_held_for_as_long_as_its_holder_works(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.cache.cache.RENEWALS_A_LEAD", 60_000)  # one every hundredth of a second
    cache = AnswerCache(redis, ttl_seconds=60, lead_seconds=600)
    slow, waiter = Model(is_open=False), Model()
    leading = asking(cache, slow)
    await slow.is_asked.wait()
    waiting_task = asking(cache, waiter)

    async def is_renewed() -> bool:
        return await redis.pttl(LEADER_KEY) > 60_000

    for _ in range(2):
        await redis.pexpire(LEADER_KEY, 60_000, xx=True)  # as if most of it were over
        await until(is_renewed)
    slow.may_answer.set()
    assert await leading == (WHOLE, False)
    assert await waiting_task == (WHOLE, True)
    assert waiter.asked == 0


async def test_a_leader_that_was_killed_is_followed_by_one_of_those_who_wait(
    redis_url: str, redis: Redis, cache: AnswerCache
) -> None:
    leader = await asyncio.create_subprocess_exec(sys.executable, "-c", LEADER, redis_url, KEY, stdout=PIPE)
    assert leader.stdout is not None
    assert await leader.stdout.readline() == b"leading\n"
    model = Model()
    calls = [asking(cache, model) for _ in range(5)]
    await waiting(redis, 10)
    assert model.asked == 0
    leader.kill()
    await leader.communicate()
    assert await redis.pexpire(LEADER_KEY, 1, xx=True)  # it would expire; as if it did now
    found = await asyncio.gather(*calls)
    assert model.asked == 1
    assert sorted(is_cached for _, is_cached in found) == [False] + [True] * 4


async def test_a_cancelled_leader_hands_the_lead_on_at_once(redis: Redis, cache: AnswerCache) -> None:
    left, taken = Model(is_open=False), Model()
    leading = asking(cache, left)
    await left.is_asked.wait()
    call = asking(cache, taken)
    await waiting(redis, 2)
    leading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leading
    assert await call == (WHOLE, False)


async def test_a_cancelled_waiter_harms_nobody(redis: Redis, cache: AnswerCache) -> None:
    model = Model(is_open=False)
    leading = asking(cache, model)
    await model.is_asked.wait()
    leaving, staying = asking(cache, model), asking(cache, model)
    await waiting(redis, 4)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    model.may_answer.set()
    assert await leading == (WHOLE, False)
    assert await staying == (WHOLE, True)


@pytest.mark.parametrize("turns", range(16))
async def test_a_caller_cancelled_at_any_point_of_its_look_ends_and_leaves_no_lead_behind(
    redis: Redis, cache: AnswerCache, turns: int
) -> None:
    call = asking(cache, Model(is_open=False))
    for _ in range(turns):  # of the loop: some of them lie between the command and its reply
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not await redis.exists(LEADER_KEY)


async def test_a_leader_that_fails_sends_those_who_wait_to_ask_for_themselves_all_at_once(
    redis: Redis, cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.cache.store.VAIN_SECONDS", 600.0)  # however late they look
    failing, model = Model(RuntimeError("no model"), is_open=False), Model(is_open=False)
    leading = asking(cache, failing)
    await failing.is_asked.wait()
    calls = [asking(cache, model) for _ in range(5)]
    await waiting(redis, 10)
    failing.may_answer.set()
    with pytest.raises(RuntimeError, match="no model"):
        await leading

    async def all_ask() -> bool:
        return model.asked == 5

    await until(all_ask)  # none of them has an answer yet: no one waited for another
    model.may_answer.set()
    assert await asyncio.gather(*calls) == [(WHOLE, False)] * 5
    assert await cache.answer(KEY, model, 0) == (WHOLE, True)


async def test_a_truncated_answer_is_its_caller_s_alone(redis: Redis, cache: AnswerCache) -> None:
    cut_off, model = Model(CUT_OFF, is_open=False), Model()
    leading = asking(cache, cut_off)
    await cut_off.is_asked.wait()
    call = asking(cache, model)
    await waiting(redis, 2)
    cut_off.may_answer.set()
    assert await leading == (CUT_OFF, False)
    assert await call == (WHOLE, False)


async def test_patience_that_ends_asks_without_taking_the_lead(cache: AnswerCache) -> None:
    slow, model = Model(is_open=False), Model(CUT_OFF)
    leading = asking(cache, slow)
    await slow.is_asked.wait()
    assert await cache.answer(KEY, model, 0.05) == (CUT_OFF, False)
    later = asking(cache, model)
    slow.may_answer.set()
    assert await leading == (WHOLE, False)
    assert await later == (WHOLE, True)


@pytest.mark.parametrize("value", [b"\xff", b'{"text":"Half","finish_reason":"length"}'])
async def test_a_broken_value_is_asked_for_afresh_and_mended(redis: Redis, cache: AnswerCache, value: bytes) -> None:
    await redis.set(f"ultra:cache:{KEY}", value)
    model = Model()
    assert await cache.answer(KEY, model, 0) == (WHOLE, False)
    assert await cache.answer(KEY, model, 0) == (WHOLE, True)


async def test_values_of_another_kind_are_mended_too_with_one_warning(
    redis: Redis, cache: AnswerCache, caplog: pytest.LogCaptureFixture
) -> None:
    for key in ("one", "two", "three"):
        await redis.rpush(f"ultra:cache:{key}", "not", "ours")
        assert await cache.answer(key, Model(), 0) == (WHOLE, False)
        assert decoded(await redis.get(f"ultra:cache:{key}")) == WHOLE
    assert len(caplog.records) == 1


async def test_a_server_that_forgot_our_scripts_is_told_them_again(redis: Redis, cache: AnswerCache) -> None:
    await cache.answer(KEY, Model(), 0)
    await redis.script_flush()
    assert await cache.answer(KEY, Model(), 0) == (WHOLE, True)


async def test_only_the_holder_of_the_lead_can_end_it(redis: Redis) -> None:
    store = AnswerStore(redis, ttl_seconds=60, lead_seconds=60)
    assert await store.look(KEY, "mine") is Turn.LEAD
    await store.leave(KEY, "theirs")
    await store.admit_vain(KEY, "theirs")
    assert not await store.renew(KEY, "theirs")
    assert await store.look(KEY, "theirs") is Turn.WAIT
    await store.leave(KEY, "mine")
    assert await store.look(KEY, "theirs") is Turn.LEAD


async def test_valkey_stopped_in_the_middle_costs_nobody_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.cache.cache.RENEWALS_A_LEAD", 6000)  # ten a second
    leader, waiter, later = Model(is_open=False), Model(), Model()
    with Stack(tmp_path, only=("valkey",)) as stack:
        async with patient(stack.settings["REDIS_URL"]) as redis:
            cache = AnswerCache(redis, ttl_seconds=60, lead_seconds=600)
            with caplog.at_level(logging.WARNING, "common.cache.store"):
                leading = asking(cache, leader)
                await leader.is_asked.wait()
                waiting_task = asking(cache, waiter)
                await waiting(redis, 2)
                monkeypatch.setattr("common.cache.store.REDIS_SECONDS", REDIS_SECONDS)
                await asyncio.to_thread(stack.stop)
                assert await waiting_task == (WHOLE, False)
                leader.may_answer.set()
                assert await leading == (WHOLE, False)
                assert await cache.answer(KEY, later, PATIENCE_SECONDS) == (WHOLE, False)
    assert [record.message.split(":")[0] for record in caplog.records] == ["working without the answer cache"]


async def test_a_valkey_that_says_nothing_delays_one_call_by_a_second_and_then_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("common.cache.store.REDIS_SECONDS", REDIS_SECONDS)
    monkeypatch.setattr("common.cache.store.REST_SECONDS", 600.0)  # the second call is soon enough, whenever it comes
    asked: list[asyncio.StreamWriter] = []
    async with silent_server(asked) as url, Redis.from_url(url, socket_timeout=PATIENCE_SECONDS) as redis:
        cache = AnswerCache(redis, ttl_seconds=60)
        began = time.monotonic()
        assert await cache.answer(KEY, Model(), PATIENCE_SECONDS) == (WHOLE, False)
        assert REDIS_SECONDS <= time.monotonic() - began < PATIENCE_SECONDS
        assert await cache.answer(KEY, Model(), PATIENCE_SECONDS) == (WHOLE, False)
        assert len(asked) <= 1


@asynccontextmanager
async def silent_server(connections: list[asyncio.StreamWriter]) -> AsyncIterator[str]:
    """The URL of something that accepts connections, which it notes, and never says a word."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in connections:
            writer.close()
        server.close()
        await server.wait_closed()
