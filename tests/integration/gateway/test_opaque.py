"""What models sign reaches them again through clients: Gemini's signatures, Claude's thoughts."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from common.settings import Settings
from tests.contract import gemini_server, messages_server
from tests.contract.exchange import Exchange
from tests.contract.gemini_server import GeminiServer
from tests.contract.messages_server import MessagesServer
from tests.contract.scripted_server import ScriptedServer
from tests.integration.api.serving import serving
from tests.integration.gateway.upstreams import good

ASK: dict[str, Any] = {"role": "user", "content": "What time is it?"}
TOOL: dict[str, Any] = {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}
THOUGHT = {"type": "thinking", "thinking": "A clock would help.", "signature": "signed-by-claude"}


async def gemini_calls(exchange: Exchange) -> None:
    await exchange.begin()
    call = {"functionCall": {"id": "t1", "name": "now", "args": {}}, "thoughtSignature": "signed-by-gemini"}
    await gemini_server.say(exchange, call)
    await gemini_server.finish(exchange)


async def claude_calls(exchange: Exchange) -> None:
    await messages_server.begin_thinking(exchange, THOUGHT["thinking"], THOUGHT["signature"])
    call = {"type": "tool_use", "id": "t1", "name": "now", "input": {}}
    await messages_server.event(exchange, "content_block_start", index=1, content_block=call)
    await messages_server.finish(exchange, "tool_use")


@pytest.fixture
def models() -> dict[str, Any]:
    able = {"capabilities": ["chat", "tools"]}
    return {"google-gemini": able, "anthropic-claude": able, "openai-gpt": able}


@pytest.fixture
async def gemini() -> AsyncIterator[GeminiServer]:
    async with GeminiServer().running() as running:
        running.script = gemini_calls
        yield running


@pytest.fixture
async def claude() -> AsyncIterator[MessagesServer]:
    async with MessagesServer().running() as running:
        running.script = claude_calls
        yield running


@pytest.fixture
async def api(
    settings: Settings, gemini: GeminiServer, claude: MessagesServer, server: ScriptedServer
) -> AsyncIterator[httpx.AsyncClient]:
    server.scripts["gpt"] = good
    settings = Settings(
        **settings.model_dump(include={"database_url", "redis_url", "ultra_models_path"}),
        google_base_url=gemini.url,
        google_api_key="g",
        anthropic_base_url=claude.url,
        anthropic_api_key="a",
        openai_base_url=server.url,
        openai_api_key="key-that-nobody-may-see",
    )
    async with serving(settings) as client:
        yield client


async def by_chat(api: httpx.AsyncClient, model: str, *, then: str, is_streamed: bool) -> None:
    """A tool's round trip with OpenAI's client, which ends with the model `then`."""
    async with AsyncOpenAI(base_url=f"{api.base_url}/v1", api_key="k", max_retries=0) as client:
        tools: Any = [{"type": "function", "function": TOOL}]
        if is_streamed:
            async with client.chat.completions.stream(model=model, messages=[ASK], tools=tools) as stream:  # type: ignore[list-item]
                said = (await stream.get_final_completion()).choices[0].message
        else:
            said = (await client.chat.completions.create(model=model, messages=[ASK], tools=tools)).choices[0].message  # type: ignore[list-item]
        assert said.tool_calls
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "Noon."}
        turn = said.to_dict()
        turn.pop("parsed", None)
        messages: Any = [ASK, turn, result]
        await client.chat.completions.create(model=then, messages=messages, tools=tools)


async def by_messages(api: httpx.AsyncClient, model: str, *, is_streamed: bool) -> None:
    """The same with Anthropic's client."""
    async with AsyncAnthropic(base_url=str(api.base_url), api_key="k", max_retries=0) as client:
        asked: Any = {
            "model": model,
            "max_tokens": 100,
            "tools": [{"name": "now", "description": "The time.", "input_schema": TOOL["parameters"]}],
        }
        if is_streamed:
            async with client.messages.stream(messages=[ASK], **asked) as stream:  # type: ignore[list-item]
                said = await stream.get_final_message()
        else:
            said = await client.messages.create(messages=[ASK], **asked)
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "Noon."}
            for block in said.content
            if block.type == "tool_use"
        ]
        content = [block.to_dict() for block in said.content]
        turns: Any = [ASK, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
        await client.messages.create(messages=turns, **asked)


def signatures(gemini: GeminiServer) -> list[str]:
    return [
        part["thoughtSignature"]
        for content in gemini.exchanges[-1].body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("interface", ["chat", "messages"])
async def test_gemini_sees_its_signature_again(
    api: httpx.AsyncClient, gemini: GeminiServer, interface: str, is_streamed: bool
) -> None:
    if interface == "chat":
        await by_chat(api, "google-gemini", then="google-gemini", is_streamed=is_streamed)
    else:
        await by_messages(api, "google-gemini", is_streamed=is_streamed)
    assert signatures(gemini) == ["signed-by-gemini"]


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("interface", ["chat", "messages"])
async def test_claude_sees_its_thoughts_again(
    api: httpx.AsyncClient, claude: MessagesServer, interface: str, is_streamed: bool
) -> None:
    if interface == "chat":
        await by_chat(api, "anthropic-claude", then="anthropic-claude", is_streamed=is_streamed)
    else:
        await by_messages(api, "anthropic-claude", is_streamed=is_streamed)
    [_, turn, _] = claude.exchanges[-1].body["messages"]
    assert turn["content"] == [THOUGHT, {"type": "tool_use", "id": "t1", "name": "now", "input": {}}]


async def test_openai_s_servers_see_nothing_of_it(api: httpx.AsyncClient, server: ScriptedServer) -> None:
    await by_chat(api, "google-gemini", then="openai-gpt", is_streamed=False)
    [_, turn, _] = server.exchanges[-1].body["messages"]
    assert turn["tool_calls"][0].keys() == {"id", "type", "function"}


async def test_one_provider_s_signatures_are_not_shown_to_another(
    api: httpx.AsyncClient, claude: MessagesServer
) -> None:
    await by_chat(api, "google-gemini", then="anthropic-claude", is_streamed=False)
    assert "signed-by-gemini" not in repr(claude.exchanges[-1].body)
