"""Anthropic's Messages over chat completions: requests, whole answers, streams."""

from typing import Any

import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from api.gateway.messages.answer import MessageStream, message
from api.gateway.messages.request import chat_request
from common.errors import InvalidInput

ASK = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Why?"}]}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def asked(**more: Any) -> dict[str, Any]:
    return chat_request({**ASK, **more})


def test_a_plain_question_keeps_its_words_and_numbers() -> None:
    assert asked(temperature=0.5, stop_sequences=["END"], stream=True, metadata={"user_id": "u"}) == {
        "model": "m",
        "max_tokens": 100,
        "temperature": 0.5,
        "stream": True,
        "messages": [{"role": "user", "content": "Why?"}],
        "stop": ["END"],
        "user": "u",
    }


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_the_system_prompt_is_the_first_message(system: Any) -> None:
    assert asked(system=system)["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_conversation_with_tools_becomes_turns_of_chat() -> None:
    messages = asked(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": ""},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "rain"}]},
                    {"type": "text", "text": "And tomorrow?"},
                ],
            },
        ]
    )["messages"]
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
    assert messages == [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        {"role": "user", "content": "And tomorrow?"},
    ]


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
REDACTED = {"type": "redacted_thinking", "data": "d"}
OPAQUES = [
    {"anthropic": {"thinking_blocks": [SIGNED, REDACTED]}},
    {"google": {"thought_signature": "s=="}},
]


def calling(opaque: Any) -> list[dict[str, Any]]:
    """Two calls of tools, of which the second carries something."""
    calls: list[dict[str, Any]] = [
        {"index": number, "id": f"t{number}", "type": "function", "function": {"name": "now", "arguments": "{}"}}
        for number in range(2)
    ]
    calls[1]["extra_content"] = opaque
    return calls


@pytest.mark.parametrize("opaque", OPAQUES)
def test_what_a_provider_wants_back_goes_to_the_client_and_returns(opaque: Any) -> None:
    choice = {"message": {"content": None, "tool_calls": calling(opaque)}, "finish_reason": "tool_calls"}
    content = Message.model_validate(message({"id": "c", "choices": [choice]}, "m")).model_dump()["content"]
    [turn] = asked(messages=[{"role": "assistant", "content": content}])["messages"]
    assert [call.get("extra_content") for call in turn["tool_calls"]] == [None, opaque]


@pytest.mark.parametrize("opaque", OPAQUES)
def test_what_a_provider_wants_back_is_streamed_block_by_block(opaque: Any) -> None:
    stream = MessageStream("m")
    chunk = {"choices": [{"delta": {"tool_calls": calling(opaque)}, "finish_reason": "tool_calls"}]}
    whole = {"message": {"content": None, "tool_calls": calling(opaque)}, "finish_reason": "tool_calls"}
    events = [
        orjson.loads(event.partition(b"data: ")[2])
        for event in (stream.feed(chunk) + stream.end()).split(b"\n\n")
        if event
    ]
    for event in events:
        EVENT.validate_python(event)
    blocks: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta" and event["delta"]["type"] in {"thinking_delta", "signature_delta"}:
            name = event["delta"]["type"].removesuffix("_delta")
            blocks[-1][name] += event["delta"][name]
    assert blocks == message({"id": "c", "choices": [whole]}, "m")["content"]


@pytest.mark.parametrize(
    "nonsense", ["s", {"google": "s"}, {"anthropic": {"thinking_blocks": ["s", {"type": "text"}]}}]
)
def test_what_nobody_can_have_signed_is_passed_over(nonsense: Any) -> None:
    choice = {"message": {"content": None, "tool_calls": calling(nonsense)}, "finish_reason": "tool_calls"}
    assert [block["type"] for block in message({"id": "c", "choices": [choice]}, "m")["content"]] == ["tool_use"] * 2


def test_images_keep_their_place_between_texts() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    content = [{"type": "text", "text": "What is"}, {"type": "image", "source": source}]
    [turn] = asked(messages=[{"role": "user", "content": content}])["messages"]
    assert turn["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tools_and_their_choice_are_told_in_the_other_words(choice: Any, expected: Any) -> None:
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
    chat = asked(tools=[tool], tool_choice=choice)
    assert chat["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "description": "d"}}
    ]
    assert chat["tool_choice"] == expected


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (8000, "medium"), (30_000, "high")])
def test_a_budget_for_thinking_is_an_effort(budget: int, effort: str) -> None:
    assert asked(thinking={"type": "enabled", "budget_tokens": budget})["reasoning_effort"] == effort


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages.0.content.0"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools.0.type"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"mcp_servers": [{"type": "url", "url": "https://example.test", "name": "m"}]}, "mcp_servers"),
        ({"container": "container_1"}, "container"),
    ],
)
def test_what_cannot_be_passed_on_is_refused_by_its_name(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(**wrong)
    assert caught.value.field == field


COMPLETION = {
    "id": "chatcmpl-1",
    "choices": [
        {
            "finish_reason": "tool_calls",
            "message": {
                "content": "I look.",
                "reasoning_content": "hm",
                "tool_calls": [{"id": "t1", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}],
            },
        }
    ],
    "usage": {"prompt_tokens": 30, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 10}},
}


def test_a_whole_answer_is_a_message_that_the_sdk_reads() -> None:
    said = Message.model_validate(message(COMPLETION, "m"))
    assert [block.type for block in said.content] == ["thinking", "text", "tool_use"]
    assert said.stop_reason == "tool_use"
    assert (said.usage.input_tokens, said.usage.cache_read_input_tokens, said.usage.output_tokens) == (20, 10, 7)


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def events(raw: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(event.split(b"\ndata: ")[1]) for event in raw.split(b"\n\n") if event]


def streamed(*chunks: dict[str, Any]) -> list[dict[str, Any]]:
    stream = MessageStream("m")
    return events(b"".join(stream.feed(one) for one in chunks) + stream.end())


def test_a_stream_opens_and_closes_one_block_at_a_time() -> None:
    def call(index: int, **function: Any) -> dict[str, Any]:
        return {"index": index, "id": f"t{index}" if "name" in function else None, "function": function}

    said = streamed(
        chunk(role="assistant", content=""),
        chunk(reasoning_content="hm"),
        chunk(content="I "),
        chunk(content="look."),
        chunk(tool_calls=[call(0, name="weather", arguments="")]),
        chunk(tool_calls=[call(0, arguments='{"city":')]),
        chunk(tool_calls=[call(0, arguments='"Bonn"}')]),
        chunk(tool_calls=[call(1, name="time", arguments="{}")]),
        chunk("tool_calls"),
        {"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 7}},
    )
    for event in said:
        EVENT.validate_python(event)
    starts = [(one["index"], one["content_block"]["type"]) for one in said if one["type"] == "content_block_start"]
    assert starts == [(0, "thinking"), (1, "text"), (2, "tool_use"), (3, "tool_use")]
    assert [one["index"] for one in said if one["type"] == "content_block_stop"] == [0, 1, 2, 3]
    pieces = [one["delta"] for one in said if one["type"] == "content_block_delta" and one["index"] == 2]
    assert "".join(piece["partial_json"] for piece in pieces) == '{"city":"Bonn"}'
    assert said[-2]["delta"]["stop_reason"] == "tool_use"
    assert said[-2]["usage"]["output_tokens"] == 7
    assert said[-1] == {"type": "message_stop"}


def test_an_answer_without_a_word_is_still_a_whole_stream() -> None:
    assert [one["type"] for one in streamed()] == ["message_start", "message_delta", "message_stop"]


def test_a_stream_that_breaks_off_has_an_error_and_no_end() -> None:
    stream = MessageStream("m")
    said = events(stream.feed(chunk(content="I ")) + stream.fail("overloaded_error", "gone"))
    assert said[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "gone"}}
    assert not any(one["type"] == "message_stop" for one in said)
