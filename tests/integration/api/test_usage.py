from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from api.database import Database
from api.unpriced import Unpriced
from common.database import keys, tables
from common.database.connect import connect
from common.ids import uuid7
from common.settings import Settings
from tests.integration.api.acting import ActingWorker
from tests.integration.api.asking import Document, code_of, submit
from tests.integration.api.conftest import Serve

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}


def call(**fields: Any) -> dict[str, Any]:
    """A row of usage: an answer of a model with a price."""
    usual = {
        "call_id": uuid7(),
        "at": NOON,
        "owner": "",
        "kind": "comparative",
        "model": "openai-gpt4o",
        "served_by": "openai-gpt4o",
        "provider": "openai",
        "status": "completed",
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "cost_usd": 0.25,
        "latency_ms": 100.0,
        "attempts": 1,
        "cached": False,
    }
    return usual | fields


def failed(**fields: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("served_by", "provider", "prompt_tokens", "completion_tokens", "cost_usd", "latency_ms"))
    return call(**nothing, status="failed", **fields)


async def spend(worker: ActingWorker, *rows: dict[str, Any]) -> None:
    await worker.run(insert(tables.usage).values(list(rows)))


async def make_key(worker: ActingWorker, name: str, *scopes: str) -> tuple[dict[str, str], str]:
    """A key's header, and its id."""
    key, key_id = keys.generate(), uuid7()
    await worker.run(keys.create(key_id, name, key, list(scopes)))
    return {"Authorization": f"Bearer {key}"}, str(key_id)


async def report(api: httpx.AsyncClient, headers: dict[str, str] | None = None, **asked: str) -> Document:
    response = await api.get("/api/usage", params=MARCH | asked, headers=headers)
    assert response.status_code == 200, response.text
    document: Document = response.json()
    return document


async def test_a_group_adds_up_its_calls(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await spend(
        worker,
        *(call(latency_ms=float(latency)) for latency in range(100, 1100, 100)),
        failed(),
        call(cached=True, cost_usd=0, latency_ms=1.0),
    )
    document = await report(api)
    figures = {
        "calls": 12,
        "failed": 1,
        "cached": 1,
        "prompt_tokens": 1100,
        "completion_tokens": 110,
        "cached_prompt_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": 2.5,
        "unpriced_calls": 0,
        "latency_ms": {"mean": 550.0, "p50": 550.0, "p95": 955.0},
        "time_to_first_token_ms": {"mean": None, "p50": None, "p95": None},
        "tokens_per_second": None,
    }
    assert document == {
        "from": "2026-03-01",
        "to": "2026-03-31",
        "group_by": ["day", "model"],
        "data": [{"day": "2026-03-02", "model": "openai-gpt4o", "key": None, "key_id": None} | figures],
        "totals": figures,
        "truncated": False,
    }


async def test_what_the_gateway_answered_is_added_up_too_and_can_be_asked_for_alone(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    streamed = {"source": "gateway", "latency_ms": 1200.0, "time_to_first_token_ms": 200.0, "completion_tokens": 50}
    await spend(worker, call(**streamed, cached_prompt_tokens=60, reasoning_tokens=5))
    await spend(worker, call(**streamed | {"latency_ms": 2200.0}, reasoning_tokens=7))
    await spend(worker, call())
    alone = (await report(api, source="gateway"))["totals"]
    assert (alone["calls"], alone["cached_prompt_tokens"], alone["reasoning_tokens"]) == (2, 60, 12)
    assert alone["time_to_first_token_ms"] == {"mean": 200.0, "p50": 200.0, "p95": 200.0}
    assert alone["tokens_per_second"] == 33.3  # 100 tokens in 3 s
    assert (await report(api, source="job"))["totals"]["calls"] == 1
    assert (await report(api))["totals"]["calls"] == 3


async def test_a_recorded_answer_is_seen_at_once(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await worker.complete((await submit(api))["id"])
    document = (await api.get("/api/usage")).json()
    assert [(row["model"], row["calls"]) for row in document["data"]] == [("mock-a", 1)]
    today = datetime.now(UTC).date()
    assert document["to"] in {str(today), str(today - timedelta(days=1))}  # midnight may be passing
    assert datetime.fromisoformat(document["to"]) - datetime.fromisoformat(document["from"]) == timedelta(days=29)


async def test_an_unknown_cost_is_counted_apart_and_never_as_nothing(
    api: httpx.AsyncClient, worker: ActingWorker
) -> None:
    unknown = {"served_by": "somewhere-new", "cost_usd": None}
    await spend(worker, call(**unknown), call(**unknown), call(), call(served_by="mock-a", cost_usd=0))
    document = await report(api, group_by="model")
    assert {row["model"]: (row["cost_usd"], row["unpriced_calls"]) for row in document["data"]} == {
        "somewhere-new": (None, 2),
        "openai-gpt4o": (0.25, 0),
        "mock-a": (0, 0),
    }
    assert (document["totals"]["cost_usd"], document["totals"]["unpriced_calls"]) == (0.25, 2)


async def test_a_failed_call_has_no_cost_and_is_not_unpriced(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await spend(worker, failed())
    [row] = (await report(api))["data"]
    assert (row["model"], row["failed"], row["cost_usd"], row["unpriced_calls"]) == ("openai-gpt4o", 1, None, 0)
    assert row["latency_ms"] == {"mean": None, "p50": None, "p95": None}


async def test_days_are_utc_days_and_the_last_one_is_included(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    last_moment = datetime(2026, 3, 2, 23, 59, 59, 999_999, tzinfo=UTC)
    await spend(worker, *(call(at=at) for at in (NOON, last_moment, last_moment + timedelta(microseconds=1))))
    document = await report(api, group_by="day")
    assert [(row["day"], row["calls"]) for row in document["data"]] == [("2026-03-03", 1), ("2026-03-02", 2)]
    one_day = await report(api, **{"from": "2026-03-02", "to": "2026-03-02"})
    assert one_day["totals"]["calls"] == 2


async def test_the_one_who_answered_is_the_model_that_was_used(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await spend(worker, call(model="openai-gpt4o", served_by="mock-b"), call(), failed())
    document = await report(api, group_by="model")
    assert {row["model"]: row["calls"] for row in document["data"]} == {"mock-b": 1, "openai-gpt4o": 2}
    by_alias = await report(api, model="gpt4")
    assert {row["model"] for row in by_alias["data"]} == {"openai-gpt4o"}
    assert (await report(api, model="gone-from-the-catalog"))["totals"]["calls"] == 0


async def test_a_key_sees_its_own_and_an_admin_everybodys_by_name(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    alice, alice_id = await make_key(worker, "laptop", "read")
    bob, bob_id = await make_key(worker, "laptop", "read")
    admin, _ = await make_key(worker, "root", "admin")
    await spend(worker, call(owner=alice_id), call(owner=alice_id), call(owner=bob_id), call())

    async def by_key(headers: dict[str, str]) -> list[tuple[str | None, str | None, int]]:
        rows = (await report(api, headers, group_by="key"))["data"]
        return sorted(((row["key"], row["key_id"], row["calls"]) for row in rows), key=str)

    assert await by_key(alice) == [("laptop", alice_id, 2)]
    assert await by_key(bob) == [("laptop", bob_id, 1)]
    assert await by_key({}) == [(None, None, 1)]
    everybody = [("laptop", alice_id, 2), ("laptop", bob_id, 1), (None, None, 1)]
    assert await by_key(admin) == sorted(everybody, key=str)
    assert (await report(api, admin))["totals"]["calls"] == 4


async def test_groups_can_be_of_all_three_kinds_at_once(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    _, key_id = await make_key(worker, "laptop", "read")
    admin, _ = await make_key(worker, "root", "admin")
    await spend(worker, call(owner=key_id), call(owner=key_id, served_by="mock-a", at=NOON + timedelta(days=1)))
    rows = (await report(api, admin, group_by="key,model,day,day"))["data"]
    assert [(row["key"], row["model"], row["day"]) for row in rows] == [
        ("laptop", "mock-a", "2026-03-03"),
        ("laptop", "openai-gpt4o", "2026-03-02"),
    ]


async def test_what_is_too_much_to_show_is_still_in_the_totals(api: httpx.AsyncClient, worker: ActingWorker) -> None:
    await spend(worker, call(served_by="mock-most"), call(served_by="mock-most"))
    await spend(worker, *(call(served_by=f"mock-{number}") for number in range(999)))
    whole = await report(api)
    assert (len(whole["data"]), whole["truncated"]) == (1000, False)
    await spend(worker, call(served_by="mock-least"))
    cut = await report(api)
    assert (len(cut["data"]), cut["truncated"], cut["totals"]["calls"]) == (1000, True, 1002)
    assert cut["data"][0]["model"] == "mock-most"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"from": "2025-03-01", "to": "2026-03-02"}, "from"),
        ({"from": "9999-12-31"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"to": "0"}, "to"),
        ({"to": "2026-02-30"}, "to"),
        ({"group_by": ""}, "group_by"),
        ({"group_by": "day,hour"}, "group_by"),
        ({"model": ""}, "model"),
        ({"source": "elsewhere"}, "source"),
    ],
)
async def test_a_wrong_question_is_told_which_part_is_wrong(
    api: httpx.AsyncClient, asked: dict[str, str], field: str
) -> None:
    response = await api.get("/api/usage", params=asked)
    assert (response.status_code, code_of(response)) == (422, "invalid_input")
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "asked",
    [
        {"to": "0001-01-05"},
        {"to": "9999-12-31"},
        {"from": "2023-03-01", "to": "2024-02-29"},
        {"from": "0001-01-01", "to": "0001-01-01"},
    ],
)
async def test_any_days_that_exist_can_be_asked_for(api: httpx.AsyncClient, asked: dict[str, str]) -> None:
    response = await api.get("/api/usage", params=asked)
    assert (response.status_code, response.json()["totals"]["calls"]) == (200, 0)


async def test_usage_is_for_those_who_may_read(serve: Serve, worker: ActingWorker) -> None:
    reader, _ = await make_key(worker, "r", "read")
    submitter, _ = await make_key(worker, "s", "submit")
    async with serve(ultra_auth="required") as api:
        assert (await api.get("/api/usage")).status_code == 401
        assert (await api.get("/api/usage", headers=submitter)).status_code == 403
        assert (await api.get("/api/usage", headers=reader)).status_code == 200


async def test_answers_without_a_price_are_counted_once_from_the_first_look_on(
    settings: Settings, worker: ActingWorker
) -> None:
    database = Database(connect(settings.database_url.get_secret_value()))
    unpriced = Unpriced(database, settle=timedelta(0))
    unknown = {"served_by": "somewhere-new", "cost_usd": None}
    try:
        await spend(worker, call(**unknown) | {"at": datetime.now(UTC)})
        await unpriced.look(seconds=10)
        assert unpriced.calls == {}
        new = [call(**unknown), call(**unknown), call(), failed(), call(cost_usd=0)]
        for row in new:
            del row["at"]
        await spend(worker, *new)
        for _ in range(2):
            await unpriced.look(seconds=10)
            assert unpriced.calls == {"somewhere-new": 2}
    finally:
        await database.close()


async def test_a_row_that_may_have_later_neighbours_still_to_come_waits_for_the_next_look(
    settings: Settings, worker: ActingWorker
) -> None:
    database = Database(connect(settings.database_url.get_secret_value()))
    unpriced = Unpriced(database, settle=timedelta(hours=1))
    row = call(served_by="somewhere-new", cost_usd=None)
    try:
        await unpriced.look(seconds=10)
        await spend(worker, row | {"at": datetime.now(UTC)})
        await unpriced.look(seconds=10)
        assert unpriced.calls == {}
    finally:
        await database.close()


async def test_metrics_have_a_counter_of_answers_without_a_price(api: httpx.AsyncClient) -> None:
    assert "# TYPE ultra_unpriced_calls_total counter" in (await api.get("/metrics")).text
