"""The official clients of OpenAI's Responses and Anthropic's Messages, against any model."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic.types import ModelInfo

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import SCRIPTS, ScriptedServer
from tests.contract.troubles import Trouble
from tests.integration.gateway.upstreams import SAID_FIRST, TEXT, midway

TOOL = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TEXT_DELTAS = {"content_block_delta", "response.output_text.delta"}
ASK: list[Any] = [{"role": "user", "content": "Tell me a story."}]


@pytest.fixture
def models() -> dict[str, Any]:
    return {"scripted-breaking": {}}


@pytest.fixture
async def claude(api: httpx.AsyncClient) -> Any:
    async with anthropic.AsyncAnthropic(base_url=str(api.base_url), api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def gpt(api: httpx.AsyncClient) -> Any:
    async with openai.AsyncOpenAI(base_url=str(api.base_url.join("/v1")), api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", ["good", "mock-a"])
async def test_anthropics_client_gets_a_message(claude: anthropic.AsyncAnthropic, model: str) -> None:
    said = await claude.messages.create(model=model, max_tokens=50, messages=ASK, system="Be brief.")
    assert said.stop_reason == "end_turn"
    assert said.content[0].type == "text"
    assert said.usage.output_tokens > 0
    if model == "good":
        assert said.content[0].text == TEXT


@pytest.mark.parametrize("model", ["good", "mock-a"])
async def test_anthropics_client_streams_what_it_would_get_whole(claude: anthropic.AsyncAnthropic, model: str) -> None:
    whole = await claude.messages.create(model=model, max_tokens=50, messages=ASK)
    async with claude.messages.stream(model=model, max_tokens=50, messages=ASK) as stream:
        said = await stream.get_final_message()
    assert said.content[0].type == "text" == whole.content[0].type
    assert said.content[0].text == whole.content[0].text
    assert said.stop_reason == "end_turn"
    assert said.usage.output_tokens == whole.usage.output_tokens


async def test_anthropics_client_has_its_tools_called(claude: anthropic.AsyncAnthropic) -> None:
    async with claude.messages.stream(
        model="mock-a", max_tokens=50, messages=ASK, tools=[{"name": "weather", "input_schema": TOOL}]
    ) as stream:
        said = await stream.get_final_message()
    [call] = [block for block in said.content if block.type == "tool_use"]
    assert call.name == "weather"
    assert "town" in call.input
    assert said.stop_reason == "tool_use"


async def test_anthropics_client_raises_its_own_errors(claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        await claude.messages.create(model="nobody", max_tokens=50, messages=ASK)
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index,call-overload]
    with pytest.raises(anthropic.BadRequestError, match="cannot be used"):
        await claude.messages.create(
            model="good", max_tokens=5, messages=ASK, tools=[{"type": "web_search_20250305", "name": "web_search"}]
        )


async def test_anthropics_client_is_told_which_field_is_wrong(claude: anthropic.AsyncAnthropic) -> None:
    bad: Any = [{"role": "user", "content": [{"type": "document"}]}]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.0\.content\.0: 'document' blocks"):
        await claude.messages.create(model="good", max_tokens=5, messages=bad)


async def test_anthropics_client_lists_models(claude: anthropic.AsyncAnthropic) -> None:
    listed = [model async for model in claude.models.list()]
    assert {"scripted-good", "mock-a"} <= {model.id for model in listed}
    for model in listed:
        assert ModelInfo.model_validate(model.model_dump()).display_name == model.id
    assert (await claude.models.retrieve("good")).id == "scripted-good"
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("nobody")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
async def test_a_character_that_its_server_cut_in_half_is_whole(
    api: httpx.AsyncClient, server: ScriptedServer, path: str
) -> None:
    async def halves(exchange: Exchange) -> None:
        await exchange.begin()
        for half in ("\ud83d", "\ude00"):
            await exchange.say(half)
        await exchange.finish("stop")

    server.scripts["breaking"] = halves
    asked = {"model": "scripted-breaking", "max_tokens": 5, "messages": ASK, "input": ASK, "stream": True}
    response = await api.post(path, json=asked)
    events = [json.loads(line[6:]) for line in response.text.split("\n") if line.startswith("data: ")]
    deltas = [event["delta"] for event in events if event["type"] in TEXT_DELTAS]
    said = "".join(delta if isinstance(delta, str) else delta["text"] for delta in deltas)
    assert said.encode("utf-16", "surrogatepass").decode("utf-16") == "😀"


async def test_a_message_that_breaks_off_is_an_error_for_its_client(
    claude: anthropic.AsyncAnthropic, server: ScriptedServer
) -> None:
    told = asyncio.Event()
    server.scripts["breaking"] = midway(SCRIPTS[Trouble.ERROR_HALFWAY], told)
    async with claude.messages.stream(model="scripted-breaking", max_tokens=50, messages=ASK) as stream:
        with pytest.raises(anthropic.APIError, match="fell over"):
            await listen(stream, told, [])


async def test_a_response_that_breaks_off_is_an_error_for_its_client(
    gpt: openai.AsyncOpenAI, server: ScriptedServer
) -> None:
    told = asyncio.Event()
    server.scripts["breaking"] = midway(SCRIPTS[Trouble.ERROR_HALFWAY], told)
    events: list[Any] = []
    stream: Any = await gpt.responses.create(model="scripted-breaking", input="Tell me a story.", stream=True)
    with pytest.raises(openai.APIError, match="fell over"):
        await listen(stream, told, events)
    assert SAID_FIRST in [event.delta for event in events if event.type == "response.output_text.delta"]


@pytest.mark.parametrize("model", ["good", "mock-a"])
async def test_openais_client_gets_a_response_whole_and_as_a_stream(gpt: openai.AsyncOpenAI, model: str) -> None:
    whole = await gpt.responses.create(model=model, input="Tell me a story.", instructions="Be brief.")
    async with gpt.responses.stream(model=model, input="Tell me a story.", instructions="Be brief.") as stream:
        said = await stream.get_final_response()
    assert whole.status == said.status == "completed"
    assert whole.output_text == said.output_text != ""
    assert whole.usage is not None
    assert said.usage is not None
    assert whole.usage.total_tokens == said.usage.total_tokens > 0


async def test_a_response_calls_functions(gpt: openai.AsyncOpenAI) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": TOOL, "strict": False}
    said = await gpt.responses.create(model="mock-a", input="Weather?", tools=[tool])
    [call] = [item for item in said.output if item.type == "function_call"]
    assert call.name == "weather"


async def test_a_response_that_needs_a_memory_is_refused(gpt: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="nothing is kept"):
        await gpt.responses.create(model="mock-a", input="And then?", previous_response_id="resp_1")


async def listen(stream: AsyncIterator[Any], told: asyncio.Event, events: list[Any]) -> None:
    async for event in stream:
        events.append(event)
        if event.type in {"text", "response.output_text.delta"}:
            told.set()
