"""Tools: the model calls one, is given its result, and speaks."""

import json

import jsonschema_rs
import pytest

from common.contracts.messages import Message, Tool, ToolCall
from common.providers.complete import complete
from tests.contract.subjects import Subject, offered, require

WEATHER = Tool(
    name="get_weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 40},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
)
CLOCK = Tool(
    name="tell_time",
    description="The time in a zone.",
    parameters={
        "type": "object",
        "properties": {"offset_hours": {"type": "integer", "minimum": -12, "maximum": 14}},
        "required": ["offset_hours"],
        "additionalProperties": False,
    },
)
QUESTION = Message(role="user", content="What is the weather in Paris, in celsius?")
ANSWERED = (
    QUESTION,
    Message(
        role="assistant",
        tool_calls=(ToolCall(id="call_1", name="get_weather", arguments='{"city": "Paris", "unit": "celsius"}'),),
    ),
    Message(role="tool", tool_call_id="call_1", content='{"degrees": 21, "sky": "clear"}'),
)


def assert_fits(call: ToolCall, tool: Tool) -> None:
    assert call.id
    assert call.name == tool.name
    jsonschema_rs.validate(tool.parameters, json.loads(call.arguments))


async def test_a_required_tool_is_called_with_arguments_that_fit(subject: Subject) -> None:
    with offered(subject, "tools", "tool_choice"):
        require(subject, "tool_choice_required")
        request = subject.asked(messages=(QUESTION,), tools=(WEATHER,), tool_choice="required", timeout_seconds=60)
        answer = await complete(subject.provider, request)
        [call] = answer.tool_calls
        assert_fits(call, WEATHER)
        assert answer.finish_reason == "tool_calls"


async def test_a_tool_that_helps_is_called_unbidden(subject: Subject) -> None:
    with offered(subject, "tools"):
        require(subject, "tools_unbidden")
        answer = await complete(subject.provider, subject.asked(messages=(QUESTION,), tools=(WEATHER,)))
        [call] = answer.tool_calls
        assert_fits(call, WEATHER)


async def test_the_tool_that_was_named_is_called(subject: Subject) -> None:
    with offered(subject, "tools", "tool_choice"):
        request = subject.asked(
            messages=(QUESTION,), tools=(WEATHER, CLOCK), tool_choice="tell_time", timeout_seconds=60
        )
        [call] = (await complete(subject.provider, request)).tool_calls
        assert_fits(call, CLOCK)


async def test_where_tools_are_forbidden_the_model_speaks(subject: Subject) -> None:
    with offered(subject, "tools"):
        request = subject.asked(
            messages=(QUESTION,), tools=(WEATHER,), tool_choice="none", max_tokens=16, timeout_seconds=60
        )
        answer = await complete(subject.provider, request)
        assert answer.text
        assert answer.tool_calls == ()
        assert answer.finish_reason in {"stop", "length"}


@pytest.mark.parametrize("choice", [None, "auto"])
async def test_a_tool_s_result_is_turned_into_words(subject: Subject, choice: str | None) -> None:
    with offered(subject, "tools"):
        require(subject, "tools_unbidden")
        answer = await complete(
            subject.provider, subject.asked(messages=ANSWERED, tools=(WEATHER,), tool_choice=choice)
        )
        assert answer.text
        assert answer.tool_calls == ()
        assert answer.finish_reason == "stop"


async def test_the_first_piece_of_a_call_names_it_and_the_last_piece_of_all_says_why_it_ended(
    subject: Subject,
) -> None:
    with offered(subject, "tools"):
        choice = "required" if "tool_choice" in subject.provider.features else "auto"
        request = subject.asked(messages=(QUESTION,), tools=(WEATHER,), tool_choice=choice, timeout_seconds=60)
        deltas = [delta async for delta in subject.provider.stream(request)]
        first, *others = [piece for delta in deltas for piece in delta.tool_calls]
        assert first.id
        assert first.name == WEATHER.name
        assert all(piece.index == first.index and piece.name is None for piece in others)
        assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["tool_calls"]
        assert deltas[-1].finish_reason == "tool_calls"
        assert deltas[-1].usage is not None
