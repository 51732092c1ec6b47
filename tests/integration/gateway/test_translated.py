"""Chats through our adapters, in OpenAI's words: here the mock's, whose server is none."""

import base64
import struct
from typing import Any

import httpx
import pytest

from tests.integration.gateway.talking import HELLO, chat, error_of, stream, text_of
from tests.openai_schema import check, check_chat, check_chunks

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}


async def test_a_stream_says_what_the_whole_answer_says(api: httpx.AsyncClient) -> None:
    answer = (await chat(api, "mock-a")).json()
    chunks = await stream(api, "mock-a", stream_options={"include_usage": True})
    check_chat(answer)
    check_chunks(chunks)
    assert text_of(chunks) == answer["choices"][0]["message"]["content"]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["usage"] == answer["usage"]


async def test_tools_are_called_alike_in_both_manners(api: httpx.AsyncClient) -> None:
    answer = (await chat(api, "mock-a", tools=[TOOL])).json()
    chunks = await stream(api, "mock-a", tools=[TOOL])
    check_chat(answer)
    check_chunks(chunks)
    [call] = answer["choices"][0]["message"]["tool_calls"]
    pieces = [
        piece for chunk in chunks for choice in chunk["choices"] for piece in choice["delta"].get("tool_calls", ())
    ]
    assert call["function"]["name"] == "weather" == pieces[0]["function"]["name"]
    assert call["function"]["arguments"] == "".join(piece["function"]["arguments"] for piece in pieces)
    assert answer["choices"][0]["finish_reason"] == "tool_calls" == chunks[-1]["choices"][0]["finish_reason"]


async def test_a_conversation_with_images_tools_and_parts_is_understood(api: httpx.AsyncClient) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Bern"}'}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
    ]
    response = await api.post(
        "/v1/chat/completions",
        json={"model": "mock-a", "messages": messages, "tools": [TOOL], "user": "u", "n": 1, "logprobs": False},
    )
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["finish_reason"] == "stop"


async def test_a_schema_is_obeyed(api: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answer = (await chat(api, "mock-a", response_format=wanted)).json()
    assert answer["choices"][0]["message"]["content"] in {'{"ok":true}', '{"ok":false}'}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("presence_penalty", 0.5),
        ("reasoning_effort", "high"),
        ("response_format", {"type": "json_object"}),
        ("top_k", 3),
        ("parallel_tool_calls", False),
    ],
)
async def test_what_an_adapter_cannot_do_is_refused_by_name(api: httpx.AsyncClient, parameter: str, value: Any) -> None:
    response = await chat(api, "mock-a", **{parameter: value})
    error = error_of(response)
    assert response.status_code == 400
    assert (error["param"], error["code"], error["type"]) == (
        parameter,
        "unsupported_parameter",
        "invalid_request_error",
    )
    assert parameter in error["message"]


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("temperature", {"temperature": 3}),
        ("max_completion_tokens", {"max_completion_tokens": 0}),
        ("stop", {"stop": ["a"] * 5}),
        ("messages[0].content[0]", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
        ("messages[0].tool_call_id", {"messages": [{"role": "tool", "content": "Rain."}]}),
        ("tools[0].function.name", {"tools": [{"type": "function", "function": {"name": "two words"}}]}),
    ],
)
async def test_a_wrong_value_is_refused_by_name(api: httpx.AsyncClient, field: str, more: dict[str, Any]) -> None:
    body = {"model": "mock-a", "messages": HELLO, **more}
    response = await api.post("/v1/chat/completions", json=body)
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, field)


async def test_a_completion_is_prose_without_a_conversation(api: httpx.AsyncClient) -> None:
    asked = {"model": "mock-a", "prompt": "Once upon"}
    answer = (await api.post("/v1/completions", json=asked)).json()
    check("CreateCompletionResponse", answer)
    streamed = await api.post("/v1/completions", json=asked | {"stream": True})
    *events, done = streamed.text.strip().split("\n\n")
    assert done == "data: [DONE]"
    chunks = [httpx.Response(200, content=event.removeprefix("data: ")).json() for event in events]
    for chunk in chunks:
        assert chunk["object"] == "text_completion"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == answer["choices"][0]["text"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_vectors_come_in_either_spelling(api: httpx.AsyncClient) -> None:
    asked = {"model": "mock-a", "input": ["one", "two"], "dimensions": 4}
    plain = (await api.post("/v1/embeddings", json=asked)).json()
    packed = (await api.post("/v1/embeddings", json=asked | {"encoding_format": "base64"})).json()
    check("CreateEmbeddingResponse", plain)
    for one, other in zip(plain["data"], packed["data"], strict=True):
        assert struct.unpack("<4f", base64.b64decode(other["embedding"])) == pytest.approx(one["embedding"])


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("dimensions", {"dimensions": 0}),
        ("dimensions", {"dimensions": "4"}),
        ("dimensions", {"dimensions": 10**9}),
        ("encoding_format", {"encoding_format": "int8"}),
        ("input_type", {"input_type": "query"}),
        ("input", {"input": []}),
        ("input", {"input": ["x"] * 2049}),
        (None, {"input": ["x"] * 2000, "dimensions": 65_536}),  # which a mock refuses, as its server would
    ],
)
async def test_vectors_that_nobody_makes_are_refused(
    api: httpx.AsyncClient, param: str | None, more: dict[str, Any]
) -> None:
    response = await api.post("/v1/embeddings", json={"model": "mock-a", "input": "one", **more})
    assert (response.status_code, error_of(response)["param"]) == (400, param)


async def test_tokens_cannot_be_embedded_by_a_model_of_another_vocabulary(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/embeddings", json={"model": "mock-a", "input": [1, 2, 3]})
    assert (response.status_code, error_of(response)["param"]) == (400, "input")
