from typing import Any

import pytest

from common.contracts.messages import ImagePart, Message, TextPart, Tool, ToolCall
from common.providers.anthropic_request import DEFAULT_MAX_TOKENS, body
from common.providers.protocol import ModelRequest

WEATHER = Tool(
    name="weather",
    description="The weather of a place.",
    parameters={"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)


def asked(*messages: Message, **fields: Any) -> dict[str, Any]:
    return body(ModelRequest("claude", messages or (user("Hello"),), **fields))


def user(content: Any) -> Message:
    return Message(role="user", content=content)


def assistant(content: Any = "", *calls: ToolCall) -> Message:
    return Message(role="assistant", content=content, tool_calls=calls)


def result(content: Any, call_id: str = "toolu_1") -> Message:
    return Message(role="tool", content=content, tool_call_id=call_id)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_what_was_not_asked_is_left_to_the_server_but_for_the_limit_that_it_demands() -> None:
    assert asked() == {
        "model": "claude",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": [text("Hello")]}],
        "stream": True,
    }


def test_every_parameter_has_anthropic_s_name() -> None:
    sent = asked(temperature=0.0, top_p=0.9, max_tokens=7, stop=("END", "###"))
    assert sent["temperature"] == 0.0
    assert sent["top_p"] == 0.9
    assert sent["max_tokens"] == 7
    assert sent["stop_sequences"] == ["END", "###"]


def test_a_temperature_beyond_anthropic_s_range_is_not_quietly_another() -> None:
    assert asked(temperature=1.5)["temperature"] == 1.5


def test_parameters_take_the_names_that_the_catalog_gives_them() -> None:
    sent = asked(max_tokens=7, stop=("END",), renamed={"max_tokens": "max_output", "stop": "halt"})
    assert sent["max_output"] == 7
    assert sent["halt"] == ["END"]
    assert not sent.keys() & {"max_tokens", "stop_sequences"}


def test_the_catalog_s_own_parameters_come_last_and_null_takes_one_away() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    sent = asked(temperature=0.5, extra={"thinking": thinking, "max_tokens": 9000, "temperature": None})
    assert sent["thinking"] == thinking
    assert sent["max_tokens"] == 9000
    assert "temperature" not in sent


def test_an_answer_is_a_stream_whatever_the_catalog_says() -> None:
    assert asked(extra={"stream": False})["stream"] is True


def test_system_prompts_stand_apart_in_one() -> None:
    sent = asked(
        Message(role="system", content="Be brief."),
        user("Hello"),
        Message(role="system", content=" "),
        Message(role="system", content=(TextPart(text="Be kind."),)),
    )
    assert sent["system"] == "Be brief.\n\nBe kind."
    assert [turn["role"] for turn in sent["messages"]] == ["user"]


def test_neighbours_of_one_role_are_one_turn() -> None:
    sent = asked(user("One"), user("Two"), assistant("Three"), assistant("Four"), user("Five"))
    assert sent["messages"] == [
        {"role": "user", "content": [text("One"), text("Two")]},
        {"role": "assistant", "content": [text("Three"), text("Four")]},
        {"role": "user", "content": [text("Five")]},
    ]


def test_silence_is_no_turn() -> None:
    sent = asked(user("One"), assistant(" \n"), user(""), user((TextPart(text=""), TextPart(text="Two"))))
    assert sent["messages"] == [{"role": "user", "content": [text("One"), text("Two")]}]


def test_text_that_utf_8_cannot_carry_is_made_so() -> None:
    [turn] = asked(user("lone \udc00"))["messages"]
    assert turn["content"] == [text("lone \N{REPLACEMENT CHARACTER}")]


def test_images_keep_their_place_among_the_words() -> None:
    parts = (
        TextPart(text="Compare"),
        ImagePart(url="data:image/png;base64,aGk="),
        ImagePart(url="https://example.org/b.jpg"),
        TextPart(text="please"),
    )
    [turn] = asked(user(parts))["messages"]
    assert turn["content"] == [
        text("Compare"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/b.jpg"}},
        text("please"),
    ]


def test_tools_are_described_and_their_choice_is_left_open() -> None:
    sent = asked(tools=(WEATHER, Tool(name="now")))
    assert sent["tools"] == [
        {"name": "weather", "description": WEATHER.description, "input_schema": WEATHER.parameters},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert sent.get("tool_choice") is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("weather", {"type": "tool", "name": "weather"}),
    ],
)
def test_a_choice_of_tool_is_told(ours: str, theirs: dict[str, str]) -> None:
    assert asked(tools=(WEATHER,), tool_choice=ours)["tool_choice"] == theirs


def test_a_choice_among_no_tools_is_not_told() -> None:
    assert "tool_choice" not in asked(tool_choice="auto")


def test_calls_of_tools_and_their_results_are_blocks_of_their_turns() -> None:
    sent = asked(
        user("Here or there?"),
        assistant(
            "Let me look.",
            ToolCall(id="toolu_1", name="weather", arguments='{"place": "here"}'),
            ToolCall(id="toolu_2", name="weather", arguments='{"place": "there"}'),
        ),
        result("Rain"),
        result((ImagePart(url="https://example.org/sun.png"),), "toolu_2"),
        user("Well?"),
    )
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/sun.png"}}
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                text("Let me look."),
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "here"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"place": "there"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("Rain")]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [image]},
                text("Well?"),
            ],
        },
    ]


def test_thoughts_go_back_before_what_they_led_to_and_begin_their_turn() -> None:
    first, second = ({"type": "thinking", "thinking": thought, "signature": "s"} for thought in ("Hm.", "Aha."))
    calls = [
        ToolCall(id=name, name=name, arguments="", opaque={"anthropic": {"thinking_blocks": [thought]}})
        for name, thought in (("a", first), ("b", second))
    ]
    [_, turn] = asked(user("?"), assistant("I look.", *calls))["messages"]
    assert [block.get("thinking") or block.get("text") or block["id"] for block in turn["content"]] == [
        *("Hm.", "I look.", "a"),
        *("Aha.", "b"),
    ]


@pytest.mark.parametrize(
    "opaque", [None, {"google": {"thought_signature": "s"}}, {"anthropic": "?"}, {"anthropic": {"thinking_blocks": 1}}]
)
def test_what_others_want_back_is_none_of_anthropic_s_business(opaque: Any) -> None:
    call = ToolCall(id="a", name="now", arguments="", opaque=opaque)
    [_, turn] = asked(user("?"), assistant("", call))["messages"]
    assert turn["content"] == [{"type": "tool_use", "id": "a", "name": "now", "input": {}}]


def test_results_come_before_the_words_of_their_turn_and_may_be_empty() -> None:
    call = ToolCall(id="toolu_1", name="now", arguments="")
    *_, turn = asked(user("Now?"), assistant("", call), user("Hurry."), result(""))["messages"]
    assert turn["content"] == [{"type": "tool_result", "tool_use_id": "toolu_1"}, text("Hurry.")]


def test_the_ids_of_another_provider_s_calls_are_spelt_in_anthropic_s_alphabet() -> None:
    call = ToolCall(id="functions.now:0", name="now", arguments="{}")
    _, use, answer = asked(user("Now?"), assistant("", call), result("Noon", "functions.now:0"))["messages"]
    assert use["content"][0]["id"] == answer["content"][0]["tool_use_id"] == "functions_now_0"


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ("", {}),
        (" ", {}),
        ("[1]", {"arguments": "[1]"}),
        ("null", {"arguments": "null"}),
        ('{"a": ', {"arguments": '{"a": '}),
        (r'{"a": "\ud83d"}', {"arguments": r'{"a": "\ud83d"}'}),
        ("\udc00", {"arguments": "\N{REPLACEMENT CHARACTER}"}),
    ],
)
def test_arguments_are_an_object_whatever_the_model_wrote(arguments: str, sent: dict[str, Any]) -> None:
    _, turn = asked(user("Go"), assistant("", ToolCall(id="toolu_1", name="t", arguments=arguments)))["messages"]
    assert turn["content"][0]["input"] == sent


def test_a_schema_is_told_in_the_part_that_anthropic_can_hold_a_model_to() -> None:
    schema = {
        "type": "object",
        "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 10}},
        "required": ["score"],
    }
    sent = asked(schema=schema)["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["required"] == ["score"]
    score = sent["schema"]["properties"]["score"]
    assert score.keys() == {"type", "description"}
    assert "maximum: 10" in score["description"]


def test_a_schema_stands_beside_the_catalog_s_own_wishes_for_the_output() -> None:
    sent = asked(schema={"type": "object"}, extra={"output_config": {"effort": "low"}})["output_config"]
    assert sent.keys() == {"effort", "format"}
    assert sent["effort"] == "low"


@pytest.mark.parametrize("schema", [{"type": "banana"}, {"type": ["string", "null"]}, {"properties": 1}, {}])
def test_a_schema_beyond_the_sdk_is_the_server_s_to_judge(schema: dict[str, Any]) -> None:
    before = dict(schema)
    assert asked(schema=schema)["output_config"]["format"]["schema"] == before
