"""Keys with limits at the gateway, and what it writes down: real Postgres, real Valkey, a scripted upstream."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, PermissionDeniedError, RateLimitError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.settings import Settings
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import ScriptedServer
from tests.contract.troubles import Trouble
from tests.integration.api.serving import serving
from tests.integration.gateway.keys import Headers, KeyOf
from tests.integration.gateway.talking import chat, error_of, stream
from tests.integration.gateway.upstreams import USAGE, good

PATIENCE_SECONDS = 20


@pytest.fixture
def models() -> dict[str, Any]:
    priced = {"price": {"prompt_usd_per_million": 100_000, "completion_usd_per_million": 200_000}}
    return {
        "scripted-priced": {"name": "good", **priced},
        "scripted-narrow": {"name": str(Trouble.NO_RESPONSE), "slots": 1},
        "mock-free": {},
        "mock-slow": {"slots": 1, "parameters": {"extra": {"latency_seconds": 0.15}}},
    }


async def rows_of(engine: AsyncEngine, count: int) -> list[dict[str, Any]]:
    """The rows of usage, once there are so many."""
    async with asyncio.timeout(PATIENCE_SECONDS), engine.connect() as connection:
        while True:
            found = (await connection.execute(text("SELECT * FROM usage ORDER BY at"))).mappings().all()
            if len(found) >= count:
                return [dict(row) for row in found]
            await asyncio.sleep(0.05)


async def test_a_request_too_many_is_told_when_to_come_back(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(requests_per_minute=2, tokens_per_minute=100_000)
    first = await chat(api, "good", headers=key)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert re.fullmatch(r"1m[01](\.\d+)?s", first.headers["x-ratelimit-reset-requests"])
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 100_000
    assert (await chat(api, "good", headers=key)).status_code == 200
    refused = await chat(api, "good", headers=key)
    assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 40 <= int(refused.headers["retry-after"]) <= 61
    assert "2 requests a minute" in error_of(refused)["message"]
    assert (await chat(api, "good")).status_code == 200  # who needs no key has no limits
    assert 'ultra_admission_refusals_total{limit="requests"} 1.0' in (await api.get("/metrics")).text


async def test_tokens_are_settled_to_what_the_server_counted(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(tokens_per_minute=1000)
    for _ in range(3):  # estimated at over 600 each
        assert (await chat(api, "good", headers=key, max_tokens=600)).status_code == 200
        await stream_with(api, key, max_tokens=600)
    left = (await chat(api, "good", headers=key)).headers["x-ratelimit-remaining-tokens"]
    assert 1000 - 6 * USAGE["total_tokens"] - 100 < int(left) < 1000 - 6 * USAGE["total_tokens"]
    refused = await chat(api, "good", headers=key, max_tokens=5000)
    assert refused.status_code == 429
    assert "send less, or ask for fewer with max_tokens" in error_of(refused)["message"]
    absurd = await chat(api, "good", headers=key, max_tokens=10**15)
    assert absurd.status_code == 429


async def stream_with(api: httpx.AsyncClient, key: Headers, **more: Any) -> None:
    assert (await chat(api, "good", headers=key, stream=True, **more)).status_code == 200


async def test_what_failed_before_a_word_was_said_uses_no_tokens(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    key = await key_of(tokens_per_minute=10_000)
    for _ in range(3):
        assert (await chat(api, "mock-flaky", headers=key, max_tokens=4000)).status_code in {200, 503}


async def test_parallel_calls_are_counted_while_they_go_on(
    api: httpx.AsyncClient, key_of: KeyOf, server: ScriptedServer
) -> None:
    may_answer = asyncio.Event()

    async def patient(exchange: Exchange) -> None:
        await may_answer.wait()
        await good(exchange)

    server.scripts["good"] = patient
    key = await key_of(parallel_calls=2)
    asking = [asyncio.create_task(chat(api, "good", headers=key)) for _ in range(4)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(server.exchanges) + sum(one.done() for one in asking) < len(asking):  # noqa: ASYNC110  # either way
            await asyncio.sleep(0.01)
    may_answer.set()
    outcomes = await asyncio.gather(*asking)
    assert sorted(one.status_code for one in outcomes) == [200, 200, 429, 429]
    assert (await chat(api, "good", headers=key)).status_code == 200


async def test_a_spent_budget_leaves_what_costs_nothing(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    # an answer costs some dollars here, an estimate without max_tokens some more
    key = await key_of(budget_usd=12.0, budget_period="day")
    answered = await chat(api, "scripted-priced", headers=key)
    assert answered.status_code == 200, answered.text
    cost = (USAGE["prompt_tokens"] * 100_000 + USAGE["completion_tokens"] * 200_000) / 1_000_000
    assert float(answered.headers["x-ultra-cost-usd"]) == pytest.approx(cost)
    refused = await chat(api, "scripted-priced", headers=key, max_tokens=1000)
    assert (refused.status_code, error_of(refused)["code"]) == (429, "insufficient_quota")
    assert refused.headers["x-should-retry"] == "false"
    assert (await chat(api, "mock-free", headers=key)).status_code == 200


async def test_what_a_keys_jobs_cost_counts_against_its_budget(
    api: httpx.AsyncClient, key_of: KeyOf, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.admission.spending.FRESH_SECONDS", 0.0)
    key = await key_of(budget_usd=1000.0)
    assert (await chat(api, "scripted-priced", headers=key)).status_code == 200
    job = text(
        "INSERT INTO usage (call_id, owner, kind, model, status, cost_usd, at)"
        " SELECT gen_random_uuid(), id::text, 'factual', 'mock-a', 'completed', 600, now() - make_interval(days => day)"
        " FROM api_keys, unnest(ARRAY[0, 0, 40]) AS day"
    )
    async with engine.connect() as connection:
        await connection.execute(job)
    for _ in range(300):  # fewer than would spend it here
        refused = await chat(api, "scripted-priced", headers=key)
        if refused.status_code != 200:
            break
        await asyncio.sleep(0.05)
    assert error_of(refused)["code"] == "insufficient_quota"


async def test_a_key_for_some_models_is_refused_the_others_on_both_planes(
    api: httpx.AsyncClient, key_of: KeyOf
) -> None:
    key = await key_of(models=frozenset({"scripted-good"}))
    assert (await chat(api, "good", headers=key)).status_code == 200
    refused = await chat(api, "mock-a", headers=key)
    error = error_of(refused)
    assert (refused.status_code, error["code"], error["param"]) == (403, "model_not_found", "model")
    for asked in ({"models": ["mock-a"]}, {"models": ["good"], "lead_model": "mock-a"}):
        job = await api.post("/api/analyze", json={"prompt": "Why?", **asked}, headers=key)
        assert (job.status_code, job.json()["code"]) == (403, "model_not_found")
    allowed = await api.post("/api/analyze", json={"prompt": "Why?", "models": ["good"]}, headers=key)
    assert allowed.status_code == 202


async def test_submissions_count_as_requests_and_need_a_budget(
    api: httpx.AsyncClient, key_of: KeyOf, engine: AsyncEngine
) -> None:
    key = await key_of(requests_per_minute=1, parallel_calls=1)
    asked = {"prompt": "Why?", "models": ["mock-a"]}
    assert (await api.post("/api/analyze", json=asked, headers=key)).status_code == 202
    assert (await chat(api, "good", headers=key)).status_code == 429
    refused = await api.post("/api/analyze", json=asked, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) >= 40

    key = await key_of(budget_usd=0.0)
    paid = await api.post("/api/analyze", json={"prompt": "Why?", "models": ["scripted-priced"]}, headers=key)
    assert (paid.status_code, paid.json()["code"]) == (429, "insufficient_quota")
    assert (await api.post("/api/analyze", json=asked, headers=key)).status_code == 202


async def test_a_patterns_models_need_no_leave_of_the_key_but_a_budget(
    settings: Settings, key_of: KeyOf, tmp_path: Path
) -> None:
    stage = {"name": "ask", "models": ["scripted-priced"], "template": "{prompt}"}
    path = tmp_path / "patterns.json"
    path.write_text(json.dumps({"dear": {"description": "Asks whom it likes.", "stages": [stage]}}))
    asked = {"prompt": "Why?", "models": ["mock-free"], "analysis_type": "dear"}
    async with serving(settings.model_copy(update={"analysis_patterns_path": path})) as api:
        narrow = await key_of(models=frozenset({"mock-free"}))
        job = await api.post("/api/analyze", json=asked, headers=narrow)
        assert job.status_code == 202, job.text
        assert (await api.post(job.json()["links"]["cancel"], headers=narrow)).status_code == 200
        retried = await api.post(f"/api/jobs/{job.json()['id']}/retry", headers=narrow)
        assert retried.status_code == 202, retried.text

        spent = await api.post("/api/analyze", json=asked, headers=await key_of(budget_usd=0.0))
        assert (spent.status_code, spent.json()["code"]) == (429, "insufficient_quota")


async def test_sdks_see_the_errors_they_know_and_try_a_spent_budget_once(api: httpx.AsyncClient, key_of: KeyOf) -> None:
    limited = (await key_of(requests_per_minute=1))["Authorization"].removeprefix("Bearer ")
    spent = (await key_of(budget_usd=0.0))["Authorization"].removeprefix("Bearer ")
    barred = (await key_of(models=frozenset({"mock-a"})))["Authorization"].removeprefix("Bearer ")

    @asynccontextmanager
    async def client(key: str) -> AsyncIterator[AsyncOpenAI]:
        async with AsyncOpenAI(base_url=str(api.base_url.join("/v1")), api_key=key) as openai:
            yield openai

    async def ask(openai: AsyncOpenAI, model: str) -> Any:
        return await openai.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])

    async with client(spent) as openai:
        with pytest.raises(RateLimitError) as refused:
            await ask(openai, "scripted-priced")
        assert refused.value.code == "insufficient_quota"
        assert 'ultra_admission_refusals_total{limit="budget"} 1.0' in (await api.get("/metrics")).text
    async with client(barred) as openai:
        with pytest.raises(PermissionDeniedError):
            await ask(openai, "scripted-good")
    async with client(limited) as openai:
        await ask(openai.with_options(max_retries=0), "good")
        with pytest.raises(RateLimitError) as refused:
            await ask(openai.with_options(max_retries=0), "good")
        assert refused.value.code == "rate_limit_exceeded"


async def test_each_request_leaves_one_row_with_what_it_came_to(
    api: httpx.AsyncClient, key_of: KeyOf, engine: AsyncEngine
) -> None:
    key = await key_of()
    whole = await chat(api, "scripted-priced", headers=key)
    await stream(api, "good")
    await chat(api, "mock-flaky", headers=key)
    one, two, three = await rows_of(engine, 3)
    assert one["request_id"] == whole.headers["x-request-id"]
    assert (one["source"], one["kind"], one["status"], one["model"]) == (
        "gateway",
        "chat",
        "completed",
        "scripted-priced",
    )
    assert (one["prompt_tokens"], one["completion_tokens"]) == (USAGE["prompt_tokens"], USAGE["completion_tokens"])
    assert float(one["cost_usd"]) == pytest.approx(float(whole.headers["x-ultra-cost-usd"]))
    assert (two["owner"], two["completion_tokens"], two["cost_usd"]) == ("", USAGE["completion_tokens"], None)
    assert 0 < two["time_to_first_token_ms"] <= two["latency_ms"]
    assert three["model"] == "mock-flaky"
    report = (await api.get("/api/usage", params={"source": "gateway", "group_by": "model"}, headers=key)).json()
    assert report["totals"]["calls"] == 2


async def test_a_stream_that_its_server_ends_late_is_completed_all_the_same(
    api: httpx.AsyncClient, engine: AsyncEngine, server: ScriptedServer
) -> None:
    async def late(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Once.")
        await asyncio.sleep(0.1)  # by now the gateway listens whether its client leaves
        await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await exchange.raw(b"data: [DONE]\n\n")
        await asyncio.sleep(0.1)
        await exchange.end()

    server.scripts["good"] = late
    await stream(api, "good")
    [row] = await rows_of(engine, 1)
    assert (row["status"], row["error_code"]) == ("completed", None)


async def test_a_model_of_one_slot_answers_one_chat_after_the_other(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    started = asyncio.get_running_loop().time()
    outcomes = await asyncio.gather(*(chat(api, "mock-slow") for _ in range(4)))
    assert {one.status_code for one in outcomes} == {200}
    assert asyncio.get_running_loop().time() - started >= 4 * 0.15


async def test_a_slot_is_free_again_when_its_client_has_gone(api: httpx.AsyncClient, server: ScriptedServer) -> None:
    for number in range(2):
        asking = asyncio.create_task(chat(api, "scripted-narrow", stream=True))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(server.exchanges) == number:  # noqa: ASYNC110  # asked, rather than waiting in line
                await asyncio.sleep(0.01)
            asking.cancel()
            await server.exchanges[number].client_left.wait()
        await asyncio.gather(asking, return_exceptions=True)


async def test_without_redis_a_key_has_its_limits_a_process(settings: Settings, key_of: KeyOf, closed: int) -> None:
    without = settings.model_copy(update={"redis_url": type(settings.redis_url)(f"redis://127.0.0.1:{closed}/0")})
    key = await key_of(requests_per_minute=2, parallel_calls=5)
    async with serving(without) as api:
        outcomes = [(await chat(api, "good", headers=key)).status_code for _ in range(4)]
        assert outcomes == [200, 200, 429, 429]
        assert "ultra_admission_shared 0.0" in (await api.get("/metrics")).text


@pytest.fixture
def closed(unused_tcp_port: int) -> int:
    """A port at which nobody listens."""
    return unused_tcp_port
