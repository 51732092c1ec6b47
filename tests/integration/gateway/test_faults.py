"""What clients see when a model's server fails: its real status, somebody else's answer, or a stream that says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import orjson
import pytest

from common.settings import Settings
from tests.contract.exchange import Exchange
from tests.contract.scripted_server import API_KEY, Parting, ScriptedServer
from tests.contract.troubles import HALFWAY, RETRY_AFTER_SECONDS, SAID_BEFORE, SILENT, Trouble
from tests.integration.api.serving import serving
from tests.integration.gateway.talking import HELLO, chat, chunks_of, error_of, text_of
from tests.integration.gateway.upstreams import SAID_FIRST, TEXT, midway
from tests.integration.gateway.verdicts import STATUSES
from tests.openai_schema import check

EARLY = sorted(set(Trouble) - HALFWAY)
# A local model's silence is timed by a setting of its own, which tests may shorten: who falls silent is local, nobody
# else.
SILENCE_MILLISECONDS = 200
# As long as words may take that come before a silence.
LONG_SILENCE_MILLISECONDS = 5000


@pytest.fixture
def models() -> dict[str, Any]:
    alone = {f"scripted-{trouble}": {"local": trouble in SILENT} for trouble in Trouble}
    backed = {
        f"{model}-backed": {**entry, "name": model.removeprefix("scripted-"), "fallbacks": ["spare-good"]}
        for model, entry in alone.items()
    }
    others = {"spare-good": {"local": False}, "mock-broken": {"parameters": {"extra": {"error": "unavailable"}}}}
    return alone | backed | others


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings.model_copy(update={"local_model_timeout": SILENCE_MILLISECONDS})) as client:
        yield client


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("trouble", EARLY)
async def test_before_the_first_token_the_real_status_is_given(
    api: httpx.AsyncClient, trouble: Trouble, is_streamed: bool
) -> None:
    response = await chat(api, f"scripted-{trouble}", stream=is_streamed)
    error = error_of(response)
    check("ErrorResponse", response.json())
    assert (response.status_code, error["code"]) == STATUSES[trouble]
    assert len(error["message"]) < 600
    assert API_KEY not in response.text
    assert response.headers["x-ultra-attempts"] == "1"
    if trouble in {Trouble.RATE_LIMITED, Trouble.AWAY}:
        assert response.headers["retry-after"] == str(RETRY_AFTER_SECONDS)


@pytest.mark.parametrize("trouble", EARLY)
async def test_before_the_first_token_somebody_else_may_answer(api: httpx.AsyncClient, trouble: Trouble) -> None:
    for is_streamed in (True, False):
        response = await chat(api, f"scripted-{trouble}-backed", stream=is_streamed)
        assert response.status_code == 200, response.text
        assert response.headers["x-ultra-served-by"] == "spare-good"
        assert response.headers["x-ultra-attempts"] == "2"
    assert text_of(chunks_of((await chat(api, f"scripted-{trouble}-backed", stream=True)).text)) == TEXT


@pytest.mark.parametrize("trouble", sorted(HALFWAY))
async def test_after_the_first_token_the_stream_ends_with_an_error_and_not_as_if_it_were_whole(
    settings: Settings, server: ScriptedServer, spare: ScriptedServer, trouble: Trouble
) -> None:
    told = asyncio.Event()
    server.scripts[trouble] = midway(server.scripts[trouble], told)
    body = {"model": f"scripted-{trouble}-backed", "messages": HELLO, "stream": True}
    said: list[bytes] = []
    settings = settings.model_copy(update={"local_model_timeout": LONG_SILENCE_MILLISECONDS})
    async with serving(settings) as api, api.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):  # the response has no end either
            await read(response, said, told)
    events = [event for event in b"".join(said).decode().split("\n\n") if event and not event.startswith(":")]
    assert SAID_FIRST in events[0]
    assert SAID_BEFORE in events[-2]
    assert events[-1].startswith('data: {"error":')
    check("ErrorResponse", orjson.loads(events[-1].removeprefix("data: ")))
    assert b"[DONE]" not in b"".join(said)
    assert not spare.exchanges


async def test_the_sdk_raises_what_the_stream_said(api: httpx.AsyncClient, server: ScriptedServer) -> None:
    told = asyncio.Event()
    server.scripts[Trouble.ERROR_HALFWAY] = midway(server.scripts[Trouble.ERROR_HALFWAY], told)
    async with sdk(api) as client:
        stream = await client.chat.completions.create(
            model=f"scripted-{Trouble.ERROR_HALFWAY}",
            messages=HELLO,  # type: ignore[arg-type]
            stream=True,
        )
        with pytest.raises(openai.APIError, match="fell over"):
            await drain(stream, told)


async def test_the_sdk_knows_each_refusal_for_what_it_is(api: httpx.AsyncClient) -> None:
    expected: dict[Trouble, type[openai.APIStatusError]] = {
        Trouble.RATE_LIMITED: openai.RateLimitError,
        Trouble.SERVER_ERROR: openai.InternalServerError,
        Trouble.NO_SUCH_MODEL: openai.NotFoundError,
        Trouble.TOO_LONG: openai.BadRequestError,
    }
    async with sdk(api) as client:
        for trouble, error in expected.items():
            with pytest.raises(error):
                await client.chat.completions.create(model=f"scripted-{trouble}", messages=HELLO)  # type: ignore[arg-type]


async def test_nobody_there_is_503_and_when_to_come_again(api: httpx.AsyncClient, server: ScriptedServer) -> None:
    response = await chat(api, "ollama-anything")
    error = error_of(response)
    assert (response.status_code, error["code"]) == (503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1


async def test_a_model_without_its_key_is_passed_over(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCRIPTED_KEY")
    alone = await chat(api, "good")
    assert (alone.status_code, error_of(alone)["code"]) == (503, "not_served")
    backed = await chat(api, f"scripted-{Trouble.AWAY}-backed")
    assert (backed.status_code, backed.headers["x-ultra-attempts"]) == (200, "1")


async def test_a_server_that_fails_again_and_again_is_left_alone(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    for _ in range(7):
        response = await chat(api, f"scripted-{Trouble.AWAY}")
        assert response.status_code == 503
    assert len(server.exchanges) == 5
    assert "left alone" in error_of(response)["message"]


async def test_what_a_kept_connection_swallows_is_sent_again(api: httpx.AsyncClient, server: ScriptedServer) -> None:
    server.parting = Parting.AT_THE_NEXT_REQUEST
    for _ in range(5):
        response = await chat(api, "good")
        assert (response.status_code, response.headers["x-ultra-attempts"]) == (200, "1")
    assert len(server.exchanges) == 5


async def test_failures_open_no_circuit_for_a_request_that_was_wrong(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    await asyncio.gather(*(chat(api, f"scripted-{Trouble.TOO_LONG}") for _ in range(7)))
    assert len(server.exchanges) == 7


async def test_a_request_that_its_server_takes_for_a_failure_of_its_own_is_the_client_s(
    api: httpx.AsyncClient, server: ScriptedServer
) -> None:
    async def as_llama_cpp(exchange: Exchange) -> None:
        await exchange.error(500, "Failed to parse tools: Missing tool type: true", kind="server_error")

    server.scripts["good"] = as_llama_cpp
    for _ in range(7):
        refused = await chat(api, "good", tools=[True])
        assert (refused.status_code, error_of(refused)["type"]) == (400, "invalid_request_error")
    assert len(server.exchanges) == 7


async def test_a_wrong_request_does_not_speak_for_a_server_that_was_not_asked(api: httpx.AsyncClient) -> None:
    for _ in range(4):
        assert (await chat(api, "mock-broken")).status_code == 503
    for wrong in ({"n": 2}, {"temperature": 9}):  # one is beyond the adapter, one beyond anybody
        assert (await chat(api, "mock-broken", **wrong)).status_code == 400
    assert "left alone" not in error_of(await chat(api, "mock-broken"))["message"]
    assert "left alone" in error_of(await chat(api, "mock-broken"))["message"]


@asynccontextmanager
async def sdk(api: httpx.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{api.base_url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def read(response: httpx.Response, said: list[bytes], told: asyncio.Event) -> None:
    async for piece in response.aiter_bytes():
        said.append(piece)
        told.set()


async def drain(stream: AsyncIterator[object], told: asyncio.Event) -> None:
    async for _ in stream:
        told.set()
