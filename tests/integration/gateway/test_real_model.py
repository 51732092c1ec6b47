"""The SDK, the gateway and llama.cpp with a real small model."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from common.settings import Settings
from tests.integration.api.serving import serving
from tests.openai_schema import check, check_chat, check_chunks

ASKED = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
async def sdk(
    postgres_url: str, redis_url: str, model_runner_url: str, tmp_path: Path
) -> AsyncIterator[openai.AsyncOpenAI]:
    settings = Settings(database_url=postgres_url, redis_url=redis_url, model_runner_url=model_runner_url)
    async with (
        serving(settings) as api,
        openai.AsyncOpenAI(base_url=f"{api.base_url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


async def test_it_is_listed_and_chats_and_says_what_that_took(sdk: openai.AsyncOpenAI) -> None:
    assert "docker_modelrunner-smollm2" in [model.id async for model in sdk.models.list()]
    raw = await sdk.chat.completions.with_raw_response.create(model="smollm2", messages=ASKED, max_tokens=8)  # type: ignore[arg-type]
    check_chat(raw.http_response.json())
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage
    assert 0 < answer.usage.completion_tokens <= 8
    assert raw.headers["x-ultra-served-by"] == answer.model == "docker_modelrunner-smollm2"
    assert float(raw.headers["x-ultra-cost-usd"]) == 0


async def test_its_stream_is_one_and_has_the_usage_that_was_asked_for(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model="smollm2",
        messages=ASKED,  # type: ignore[arg-type]
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk.model_dump(exclude_unset=True) async for chunk in stream]
    check_chunks(chunks)
    assert "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["usage"]["completion_tokens"] > 0


async def test_it_goes_on_with_a_text_whole_and_as_a_stream(sdk: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": "smollm2", "prompt": "Once upon a", "max_tokens": 8, "temperature": 0}
    raw = await sdk.completions.with_raw_response.create(**asked)
    check("CreateCompletionResponse", raw.http_response.json())
    stream = await sdk.completions.create(**asked, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks) == raw.parse().choices[0].text
    check("CreateCompletionResponse", chunks[-1].model_dump(exclude_unset=True))


async def test_logprobs_seed_stop_and_a_schema_reach_it(sdk: openai.AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    answer = await sdk.chat.completions.create(
        model="smollm2",
        messages=ASKED,  # type: ignore[arg-type]
        max_tokens=20,
        seed=1,
        stop=["}"],
        logprobs=True,
        response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
    )
    [choice] = answer.choices
    assert (choice.message.content or "").lstrip().startswith("{")
    assert choice.logprobs
    assert choice.logprobs.content


async def test_a_context_that_is_too_long_is_the_clients_to_shorten(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "water " * 30_000}])
    assert caught.value.code == "context_length_exceeded"


async def test_who_leaves_in_the_middle_leaves_a_server_that_goes_on_serving(sdk: openai.AsyncOpenAI) -> None:
    for _ in range(3):
        stream = await sdk.chat.completions.create(model="smollm2", messages=ASKED, stream=True)  # type: ignore[arg-type]
        async for _ in stream:
            break
        await stream.close()
    answer = await sdk.chat.completions.create(model="smollm2", messages=ASKED, max_tokens=4, timeout=httpx.Timeout(30))  # type: ignore[arg-type]
    assert answer.choices[0].finish_reason in {"stop", "length"}
