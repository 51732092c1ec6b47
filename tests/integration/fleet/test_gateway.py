"""Chats with a model in a container: nothing but the API, and a lifecycle worker played by the test."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import httpx
import orjson
import pytest
import uvloop

from tests.contract.scripted_instance import TEXT, ScriptedInstance
from tests.integration.api.test_recovery_metrics import figures
from tests.integration.fleet.conftest import MODEL
from tests.integration.fleet.keeper import ActingKeeper
from tests.integration.gateway.talking import chat, chunks_of, error_of, stream, text_of


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that we serve on: its transports are not quite asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


async def test_a_chat_starts_its_model_and_is_kept_awake_meanwhile(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    seen = bytearray()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}], "stream": True}
    async with api.stream("POST", "/v1/chat/completions", json=body) as response:
        async for piece in response.aiter_bytes():
            seen += piece
            if seen == piece:  # the first: nobody has started it yet
                assert piece.startswith(b":")
                await keeper.wanted(MODEL)
                await keeper.serve(MODEL, container.base_url)
    assert response.status_code == 200
    assert text_of(chunks_of(seen.decode())) == TEXT
    assert container.asked[0]["model"] == MODEL


async def test_a_warm_model_is_passed_through_to(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    asking = asyncio.create_task(chat(api, MODEL))
    await keeper.wanted(MODEL)
    await keeper.serve(MODEL, container.base_url)
    assert (await asking).json()["choices"][0]["message"]["content"] == TEXT
    wanted_at = (await keeper.wanted(MODEL))["wanted_at"]
    response = await chat(api, MODEL)
    assert response.json()["model"] == MODEL
    assert response.headers["x-ultra-served-by"] == MODEL
    assert text_of(await stream(api, MODEL)) == TEXT
    assert (await keeper.wanted(MODEL))["wanted_at"] == wanted_at
    assert (await figures(api))["ultra_gateway_model_wait_seconds_count"] == 1, "the warm ones did not wait"


async def test_the_wait_for_a_start_is_no_overhead_of_ours(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    began = time.perf_counter()
    asking = asyncio.create_task(chat(api, MODEL))
    await keeper.wanted(MODEL)
    waiting_since = time.perf_counter()
    await asyncio.sleep(0.5)
    waited = time.perf_counter() - waiting_since
    await keeper.serve(MODEL, container.base_url)
    overhead_ms = float((await asking).headers["x-ultra-overhead-ms"])
    assert overhead_ms <= (time.perf_counter() - began - waited) * 1000


async def test_a_model_in_a_container_embeds(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    asking = asyncio.create_task(api.post("/v1/embeddings", json={"model": MODEL, "input": "a"}))
    await keeper.wanted(MODEL)
    await keeper.serve(MODEL, container.base_url)
    response = await asking
    assert response.status_code == 200, response.text
    assert response.json()["data"][0]["embedding"]


async def test_one_that_cannot_be_placed_is_a_503_with_the_reason(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    asking = asyncio.create_task(chat(api, MODEL))
    await keeper.wanted(MODEL)
    await keeper.fail(MODEL, "It fits nowhere: it needs 1 GiB more.")
    response = await asking
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    error = error_of(response)
    assert (error["type"], error["code"]) == ("server_error", "not_started")
    assert "needs 1 GiB more" in error["message"]


async def test_a_stream_that_had_heartbeats_ends_with_the_reason(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}], "stream": True}
    seen = bytearray()
    is_whole = False
    with suppress(httpx.RemoteProtocolError):
        async with api.stream("POST", "/v1/chat/completions", json=body) as response:
            async for piece in response.aiter_bytes():
                if not seen:
                    await keeper.wanted(MODEL)
                    await keeper.fail(MODEL, "There is no file.")
                seen += piece
            is_whole = True
    assert not is_whole
    last = [line for line in seen.decode().splitlines() if line.startswith("data: ")][-1]
    assert orjson.loads(last.removeprefix("data: "))["error"]["code"] == "not_started"


async def test_a_model_that_does_not_start_has_its_fallback_asked(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    asking = asyncio.create_task(chat(api, "local-other"))
    await keeper.wanted("local-other")
    await keeper.fail("local-other", "There is no file.")
    response = await asking
    assert response.headers["x-ultra-served-by"] == "mock-a"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_container_that_leaves_is_asked_for_again_and_nobody_notices(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance, is_streamed: bool
) -> None:
    asking = asyncio.create_task(chat(api, MODEL))
    await keeper.wanted(MODEL)
    await keeper.serve(MODEL, container.base_url)
    await asking
    container.refusing = "draining"
    container.was_asked.clear()
    asking = asyncio.create_task(chat(api, MODEL, stream=is_streamed))
    await container.was_asked.wait()
    await keeper.end(MODEL)
    async with ScriptedInstance(MODEL).running() as later:
        await keeper.serve(MODEL, later.base_url)
        response = await asking
    assert response.status_code == 200
    assert "scatters" in response.text


async def test_what_a_container_has_begun_it_ends_while_the_next_one_serves(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    container.may_answer.clear()
    first = asyncio.create_task(chat(api, MODEL))
    await keeper.wanted(MODEL)
    await keeper.serve(MODEL, container.base_url)
    await container.was_asked.wait()
    container.refusing = "draining"
    second = asyncio.create_task(chat(api, MODEL))
    async with ScriptedInstance(MODEL).running() as later:
        while len(container.asked) < 2:  # noqa: ASYNC110  # of which there is no event
            await asyncio.sleep(0.01)
        await keeper.end(MODEL)
        await keeper.serve(MODEL, later.base_url)
        assert (await second).status_code == 200
        container.may_answer.set()
        assert (await first).json()["choices"][0]["message"]["content"] == TEXT
    assert len(later.asked) == 1
