"""Both vendors' clients make Claude think, see what it thought, and show it that again; and count their prompts."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from common.settings import Settings
from tests.contract.exchange import Exchange
from tests.contract.messages_server import MessagesServer, begin_thinking, event, finish
from tests.integration.api.serving import serving

ASK: Any = {"role": "user", "content": "What time is it?"}
TOOL: Any = {"name": "now", "description": "The time.", "input_schema": {"type": "object", "properties": {}}}
THOUGHT = {"type": "thinking", "thinking": "A clock would help.", "signature": "signed-by-claude"}
BUDGET: Any = {"type": "enabled", "budget_tokens": 2000}


async def claude_thinks(exchange: Exchange) -> None:
    """Count; or think, say a word, and call the tool unless its result is there."""
    if exchange.path.endswith("/count_tokens"):
        await exchange.answer(200, {"input_tokens": 14}, content_type="application/json")
        return
    await begin_thinking(exchange, THOUGHT["thinking"], THOUGHT["signature"])
    await event(exchange, "content_block_start", index=1, content_block={"type": "text", "text": ""})
    await event(exchange, "content_block_delta", index=1, delta={"type": "text_delta", "text": "I look."})
    await event(exchange, "content_block_stop", index=1)
    if "tools" not in exchange.body:
        await finish(exchange)
        return
    call = {"type": "tool_use", "id": "t1", "name": "now", "input": {}}
    await event(exchange, "content_block_start", index=2, content_block=call)
    await event(exchange, "content_block_stop", index=2)
    await finish(exchange, "tool_use")


@pytest.fixture
def models() -> dict[str, Any]:
    able = {"capabilities": ["chat", "tools"]}
    return {"anthropic-claude": {**able, "reasoning": {"by": "budget"}}, "anthropic-plain": able}


@pytest.fixture
async def server_of_claude() -> AsyncIterator[MessagesServer]:
    async with MessagesServer().running() as running:
        running.script = claude_thinks
        yield running


@pytest.fixture
async def api(settings: Settings, server_of_claude: MessagesServer) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        **settings.model_dump(include={"database_url", "redis_url", "ultra_models_path"}),
        anthropic_base_url=server_of_claude.url,
        anthropic_api_key="a",
    )
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def claude(api: httpx.AsyncClient) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=str(api.base_url), api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def gpt(api: httpx.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=str(api.base_url.join("/v1")), api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_anthropics_client_gives_a_budget_and_brings_the_thoughts_back(
    claude: anthropic.AsyncAnthropic, server_of_claude: MessagesServer, is_streamed: bool
) -> None:
    asked: Any = {"model": "anthropic-claude", "max_tokens": 4000, "thinking": BUDGET, "tools": [TOOL]}
    if is_streamed:
        async with claude.messages.stream(messages=[ASK], **asked) as stream:
            said = await stream.get_final_message()
    else:
        said = await claude.messages.create(messages=[ASK], **asked)
    content = [block.to_dict() for block in said.content]
    assert [block for block in content if block["type"] == "thinking"] == [THOUGHT]
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "Noon."}
    turns: Any = [ASK, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    await claude.messages.create(messages=turns, **asked)
    first, second = (exchange.body for exchange in server_of_claude.exchanges)
    assert (first["thinking"], first["max_tokens"]) == (BUDGET, 4000)
    assert second["thinking"] == BUDGET
    assert [block["type"] for block in second["messages"][1]["content"]] == ["thinking", "text", "tool_use"]
    assert second["messages"][1]["content"][0] == THOUGHT


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_openais_client_gives_an_effort_and_is_shown_the_thoughts(
    gpt: openai.AsyncOpenAI, server_of_claude: MessagesServer, is_streamed: bool
) -> None:
    asked: Any = {"model": "anthropic-claude", "messages": [ASK], "reasoning_effort": "low"}
    if is_streamed:
        async with gpt.chat.completions.stream(**asked) as stream:
            message = (await stream.get_final_completion()).choices[0].message
    else:
        message = (await gpt.chat.completions.create(**asked)).choices[0].message
    assert message.content == "I look."
    assert message.to_dict()["reasoning_content"] == THOUGHT["thinking"]
    response = await gpt.responses.create(model="anthropic-claude", input="Why?", reasoning={"effort": "low"})
    assert [item.type for item in response.output] == ["reasoning", "message"]
    for exchange in server_of_claude.exchanges:
        assert exchange.body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
        assert exchange.body["max_tokens"] > 2048


async def test_a_model_that_cannot_think_is_refused_in_each_client_s_words(
    claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI, server_of_claude: MessagesServer
) -> None:
    asked: Any = {"model": "anthropic-plain", "max_tokens": 4000, "messages": [ASK]}
    with pytest.raises(anthropic.BadRequestError, match="thinking: This model does not support `thinking`"):
        await claude.messages.create(thinking=BUDGET, **asked)
    with pytest.raises(openai.BadRequestError) as caught:
        await gpt.responses.create(model="anthropic-plain", input="Why?", reasoning={"effort": "low"})
    assert (caught.value.param, caught.value.code) == ("reasoning.effort", "unsupported_parameter")
    assert not server_of_claude.exchanges
    harmless: Any
    for harmless in ({"type": "disabled"}, {"type": "adaptive"}):
        assert (await claude.messages.create(thinking=harmless, **asked)).stop_reason == "end_turn"
    assert not any("thinking" in exchange.body for exchange in server_of_claude.exchanges)


async def test_anthropics_client_counts_a_prompt(
    claude: anthropic.AsyncAnthropic, server_of_claude: MessagesServer
) -> None:
    counted = await claude.messages.count_tokens(model="anthropic-claude", messages=[ASK], system="Be brief.")
    assert counted.input_tokens == 14
    [exchange] = server_of_claude.exchanges
    assert exchange.headers["x-api-key"] == "a"
    assert exchange.body["system"] == "Be brief."
    with pytest.raises(anthropic.NotFoundError, match="The tokens of scripted-good cannot be counted"):
        await claude.messages.count_tokens(model="good", messages=[ASK])
