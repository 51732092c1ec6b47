"""What every adapter that speaks HTTP makes of the connection itself, each before a server of its own format."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from common.errors import BadUpstream, Timeout, Unavailable
from common.providers.complete import Completion, complete
from common.providers.ollama import Ollama
from common.providers.protocol import EmbeddingRequest, ModelRequest, Provider
from tests.contract.exchange import Exchange
from tests.contract.gemini_server import GeminiServer
from tests.contract.messages_server import MessagesServer
from tests.contract.scripted_ollama import ScriptedOllama
from tests.contract.scripted_server import API_KEY, Script, ScriptedServer
from tests.contract.subjects import QUESTION, openai_compatible
from tests.contract.subjects_anthropic import anthropic
from tests.contract.subjects_google import google

PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Wire:
    """An adapter's kind, and the kind of server that speaks as its own would."""

    server: Callable[[], ScriptedServer]
    adapter: Callable[[str], Provider]


WIRES = {
    "openai": Wire(ScriptedServer, openai_compatible),
    "anthropic": Wire(MessagesServer, anthropic),
    "google": Wire(GeminiServer, google),
    "ollama": Wire(ScriptedOllama, Ollama),
}


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> Wire:
    return WIRES[request.param]


@pytest.fixture
async def server(wire: Wire) -> AsyncIterator[ScriptedServer]:
    async with wire.server().running() as running:
        yield running


@pytest.fixture
async def provider(wire: Wire, server: ScriptedServer) -> AsyncIterator[Provider]:
    made = wire.adapter(server.url)
    yield made
    await made.close()


async def answer_to(server: ScriptedServer, provider: Provider, script: Script, **fields: Any) -> Completion:
    server.script = script
    asked = {"model": "any", "messages": QUESTION, "timeout_seconds": PATIENCE_SECONDS, **fields}
    return await complete(provider, ModelRequest(**asked))


async def test_nobody_is_followed_to_another_server(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    async with wire.server().running() as other:

        async def script(exchange: Exchange) -> None:
            elsewhere = other.url.removesuffix(other.prefix) + exchange.path
            await exchange.answer(307, f"Over there, with {API_KEY}", location=elsewhere)

        with pytest.raises(BadUpstream, match=r"answered 307: Over there") as caught:
            await answer_to(server, provider, script)
        assert other.exchanges == []
    if wire.adapter is not Ollama:  # which has no key
        assert API_KEY not in str(caught.value)


async def test_a_page_in_the_place_of_an_answer_is_no_answer(server: ScriptedServer, provider: Provider) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, "<html>Sign in to the guest network</html>", content_type="text/html")

    with pytest.raises(BadUpstream):
        await answer_to(server, provider, script)


async def test_an_error_cut_off_in_its_own_body_is_translated_too(server: ScriptedServer, provider: Provider) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head(500, content_length="1000")
        exchange.cut()

    with pytest.raises(BadUpstream):
        await answer_to(server, provider, script)


async def test_a_request_left_before_its_response_is_withdrawn(
    server: ScriptedServer, provider: Provider, pass_time: Callable[[float], None]
) -> None:
    asking = asyncio.create_task(answer_to(server, provider, Exchange.until_client_leaves))
    await server.was_asked.wait()
    pass_time(PATIENCE_SECONDS)
    with pytest.raises(Timeout, match=rf"within {PATIENCE_SECONDS:g} s"):
        await asking
    await server.exchanges[0].client_left.wait()


async def test_a_server_that_is_not_there_is_unavailable(wire: Wire) -> None:
    with socket.socket() as held:  # bound and not listening: nobody else takes the port, and nobody answers
        held.bind(("127.0.0.1", 0))
        provider = wire.adapter(f"http://127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(Unavailable, match="cannot be reached"):
            await complete(provider, ModelRequest("any", QUESTION))
        with pytest.raises(Unavailable):
            await provider.list_models()
        if "embeddings" in provider.features:
            with pytest.raises(Unavailable):
                await provider.embed(EmbeddingRequest("any", ("one",)))
        await provider.close()
