"""OpenAI's Responses over chat completions: requests, whole answers, streams."""

from typing import Any

import orjson
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from api.gateway.faults import Fault
from api.gateway.responses.answer import ResponseStream, response
from api.gateway.responses.request import chat_request
from common.errors import BadUpstream, InvalidInput

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def asked(given: Any = "Why?", **more: Any) -> dict[str, Any]:
    return chat_request({"model": "m", "input": given, **more})


def test_a_text_is_a_question_of_the_user() -> None:
    assert asked(instructions="Be brief.", max_output_tokens=9, reasoning={"effort": "low"}) == {
        "model": "m",
        "max_tokens": 9,
        "reasoning_effort": "low",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    }


def test_a_conversation_with_tools_becomes_turns_of_chat() -> None:
    messages = asked(
        [
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "noon"}]},
        ]
    )["messages"]
    assert [(one["role"], one["content"]) for one in messages] == [
        ("system", "Be brief."),
        ("user", "Weather?"),
        ("assistant", "I look."),
        ("tool", "rain"),
        ("tool", "noon"),
    ]
    assert [call["id"] for call in messages[2]["tool_calls"]] == ["c1", "c2"]


def test_images_are_passed_on_by_their_url() -> None:
    content = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": "https://a.test/x.png"}]
    [turn] = asked([{"role": "user", "content": content}])["messages"]
    assert turn["content"][1] == {"type": "image_url", "image_url": {"url": "https://a.test/x.png"}}


def test_tools_choices_and_shapes_are_told_in_the_other_words() -> None:
    shape = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    text = {"format": shape, "verbosity": "low"}
    chat = asked(tools=[TOOL], tool_choice={"type": "function", "name": "f"}, text=text)
    assert chat["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert chat["response_format"]["json_schema"] == {"name": "n", "schema": {"type": "object"}, "strict": True}
    assert chat["verbosity"] == asked(text={"verbosity": "low"})["verbosity"] == "low"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0.type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input.0.content.0"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ],
)
def test_what_cannot_be_passed_on_is_refused_by_its_name(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        chat_request({"model": "m", "input": "Why?", **wrong})
    assert caught.value.field == field


def completion(reason: str = "stop", **message: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 30, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 10}}
    return {"id": "chatcmpl-1", "choices": [{"finish_reason": reason, "message": message}], "usage": usage}


def test_a_whole_answer_is_a_response_that_the_sdk_reads() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    whole = completion("tool_calls", content="I look.", reasoning_content="hm", tool_calls=[call])
    said = Response.model_validate(response(whole, {"tools": [TOOL]}, "m"))
    assert [item.type for item in said.output] == ["reasoning", "message", "function_call"]
    assert said.output_text == "I look."
    assert said.status == "completed"
    assert said.usage is not None
    assert (said.usage.total_tokens, said.usage.input_tokens_details.cached_tokens) == (37, 10)


def test_an_answer_that_a_limit_cut_is_incomplete() -> None:
    said = response(completion("length", content="I"), {}, "m")
    assert said["status"] == "incomplete"
    assert said["incomplete_details"] == {"reason": "max_output_tokens"}


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def events(raw: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(event.split(b"\ndata: ")[1]) for event in raw.split(b"\n\n") if event]


def test_a_stream_tells_every_item_from_its_beginning_to_its_end() -> None:
    stream = ResponseStream({}, "m")
    raw = stream.begin()
    for one in (
        chunk(role="assistant", content=""),
        chunk(reasoning_content="hm"),
        chunk(content="I "),
        chunk(content="look."),
        chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a":1}'}}]),
        chunk("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    ):
        raw += stream.feed(one)
    said = events(raw + stream.end())
    for event in said:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in said] == list(range(len(said)))
    kinds = [event["type"] for event in said]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == 3
    final = said[-1]["response"]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call"]
    assert final["output"][2]["arguments"] == '{"a":1}'
    assert final["usage"]["total_tokens"] == 7


def test_a_stream_that_breaks_off_fails_and_keeps_what_was_said() -> None:
    stream = ResponseStream({}, "m")
    said = events(stream.feed(chunk(content="I ")) + stream.fail("server_error", "gone"))
    *_, raised, failed = said
    assert (raised["type"], raised["message"], raised["error"]["message"]) == ("error", "gone", "gone")
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "gone"}
    for event in (raised, failed):
        EVENT.validate_python(event)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x" * 65_536},
        {"reasoning_content": "x" * 65_536},
        {"tool_calls": [{"index": 0, "function": {"arguments": "x" * 65_536}}]},
        {"tool_calls": [{"index": index, "function": {"name": "f"}} for index in range(256)]},
    ],
    ids=["text", "thoughts", "arguments", "calls"],
)
def test_a_stream_without_end_is_broken_off_and_not_kept(delta: dict[str, Any]) -> None:
    stream = ResponseStream({}, "m")

    def go_on() -> None:
        for _ in range(100):
            stream.feed({"choices": [{"delta": delta}]})

    with pytest.raises(Fault, match="more than 4194304 characters") as raised:
        go_on()
    assert isinstance(raised.value.error, BadUpstream)
    assert b"response.failed" in stream.fail("bad_upstream", "It has no end.")
