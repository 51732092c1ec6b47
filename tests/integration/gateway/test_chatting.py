"""Chats through the gateway to a server of the same interface."""

import time

import httpx

from tests.contract.scripted_server import API_KEY, ScriptedServer
from tests.integration.gateway.talking import HELLO, chat, stream, text_of
from tests.integration.gateway.upstreams import TEXT, USAGE


async def test_a_whole_answer_comes_back_with_what_clients_rely_on(api: httpx.AsyncClient) -> None:
    started = time.perf_counter()
    response = await chat(api, "good")
    milliseconds = (time.perf_counter() - started) * 1000
    assert response.status_code == 200, response.text
    answer = response.json()
    [choice] = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)
    assert answer["model"] == response.headers["x-ultra-served-by"] == "scripted-good"
    assert answer["usage"] == USAGE
    assert response.headers["x-ultra-attempts"] == "1"
    assert 0 <= float(response.headers["x-ultra-overhead-ms"]) <= milliseconds
    assert response.headers["x-request-id"]


async def test_a_stream_is_whole_and_its_chunks_are_of_one_kind(api: httpx.AsyncClient) -> None:
    chunks = await stream(api, "good")
    assert text_of(chunks) == TEXT
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert all("finish_reason" in choice for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_usage_is_told_to_those_who_ask_and_asked_for_always(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    told = await stream(api, "good", stream_options={"include_usage": True})
    untold = await stream(api, "good")
    assert (told[-1]["choices"], told[-1]["usage"]) == ([], USAGE)
    assert not any(chunk.get("usage") for chunk in untold)
    assert all(exchange.body["stream_options"]["include_usage"] for exchange in server.exchanges)


async def test_what_the_gateway_does_not_know_reaches_the_server_untouched(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    given = {"top_k": 7, "logit_bias": {"50256": -100}, "seed": 3, "response_format": {"type": "json_object"}}
    await chat(api, "good", **given)
    [exchange] = server.exchanges
    assert exchange.body == {"model": "good", "messages": HELLO, **given}
    assert exchange.headers["authorization"] == f"Bearer {API_KEY}"
