from typing import Any

import pytest

from common.contracts.messages import ImagePart, Message, TextPart, Tool, ToolCall
from common.errors import Unsupported
from common.providers.ollama_request import as_json, chat_body, embed_body
from common.providers.protocol import EmbeddingRequest, ModelRequest

HELLO = (Message(role="user", content="Hello."),)
PIXEL = "data:image/png;base64,iVBORw0KGgo="
WEATHER = Tool(
    name="weather",
    description="Weather of a town.",
    parameters={"type": "object", "properties": {"town": {"type": "string"}}},
)


def body(messages: tuple[Message, ...] = HELLO, **fields: Any) -> dict[str, Any]:
    return chat_body(ModelRequest("llama3.1", messages, **fields))


def called(arguments: str) -> Any:
    """What the history says of a call with these arguments."""
    call = ToolCall(id="call_0", name="weather", arguments=arguments)
    [turn] = body((Message(role="assistant", tool_calls=(call,)),))["messages"]
    return turn["tool_calls"][0]["function"]["arguments"]


def test_what_was_not_asked_is_left_to_the_server() -> None:
    assert body() == {"model": "llama3.1", "messages": [{"role": "user", "content": "Hello."}], "stream": True}


def test_sampling_is_among_the_options_under_ollama_s_names() -> None:
    asked = body(temperature=0.0, top_p=0.9, max_tokens=7, stop=("\n",), seed=0)
    assert asked["options"] == {"temperature": 0.0, "top_p": 0.9, "num_predict": 7, "stop": ["\n"], "seed": 0}


def test_a_parameter_that_the_model_knows_by_another_name_is_sent_by_it() -> None:
    renamed = {"max_tokens": "max_new_tokens", "top_p": "nucleus"}
    assert body(max_tokens=7, top_p=0.9, renamed=renamed)["options"] == {"max_new_tokens": 7, "nucleus": 0.9}


def test_an_entry_s_extra_goes_where_ollama_looks_for_it() -> None:
    asked = body(extra={"num_ctx": 8192, "keep_alive": "10m", "think": False, "mirostat": 1})
    assert asked["options"] == {"num_ctx": 8192, "mirostat": 1}
    assert (asked["keep_alive"], asked["think"]) == ("10m", False)


def test_an_entry_s_extra_has_the_last_word_and_null_unsays() -> None:
    asked = body(temperature=1.0, seed=3, extra={"temperature": 0.5, "seed": None, "keep_alive": None})
    assert asked["options"] == {"temperature": 0.5}
    assert "keep_alive" not in asked


def test_an_entry_cannot_turn_the_stream_off() -> None:
    assert body(extra={"stream": False})["stream"] is True


def test_a_schema_is_the_format() -> None:
    assert body(schema={"type": "object"})["format"] == {"type": "object"}


def test_images_are_sent_without_the_head_of_their_url() -> None:
    content = (TextPart(text="What is this?"), ImagePart(url=PIXEL), ImagePart(url=PIXEL))
    [turn] = body((Message(role="user", content=content),))["messages"]
    assert turn == {"role": "user", "content": "What is this?", "images": ["iVBORw0KGgo=", "iVBORw0KGgo="]}


def test_an_image_that_would_have_to_be_fetched_is_refused() -> None:
    content = (ImagePart(url="https://example.org/cat.png"),)
    with pytest.raises(Unsupported, match="data:image/png;base64"):
        body((Message(role="user", content=content),))


@pytest.mark.parametrize("choice", [None, "auto"])
def test_tools_are_said_in_openai_s_shape(choice: str | None) -> None:
    [tool] = body(tools=(WEATHER,), tool_choice=choice)["tools"]
    function = {"name": "weather", "description": "Weather of a town.", "parameters": WEATHER.parameters}
    assert tool == {"type": "function", "function": function}


def test_tools_that_may_not_be_called_are_not_mentioned() -> None:
    assert "tools" not in body(tools=(WEATHER,), tool_choice="none")


def test_a_tool_s_result_names_its_tool() -> None:
    history = (
        *HELLO,
        Message(role="assistant", tool_calls=(ToolCall(id="call_0", name="weather", arguments='{"town": "Bern"}'),)),
        Message(role="tool", tool_call_id="call_0", content="Rain."),
        # the ids begin anew with each answer, as Ollama has none
        Message(role="assistant", tool_calls=(ToolCall(id="call_0", name="clock", arguments=""),)),
        Message(role="tool", tool_call_id="call_0", content="Noon."),
    )
    assert body(history)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"town": "Bern"}}}],
        },
        {"role": "tool", "content": "Rain.", "tool_name": "weather"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "clock", "arguments": {}}}]},
        {"role": "tool", "content": "Noon.", "tool_name": "clock"},
    ]


def test_a_result_of_a_call_that_nobody_remembers_has_no_name() -> None:
    [turn] = body((Message(role="tool", tool_call_id="call_9", content="Rain."),))["messages"]
    assert turn == {"role": "tool", "content": "Rain."}


@pytest.mark.parametrize("written", ['{"town": ', '["Bern"]', '{"town": NaN}', "[" * 100_000])
def test_arguments_that_are_no_object_are_shown_as_they_were_written(written: str) -> None:
    assert called(written) == {"malformed": written}


def test_every_body_can_be_sent() -> None:
    half = "\ud83d"
    call = ToolCall(id="call_0", name="weather", arguments=half)
    history = (Message(role="user", content=half), Message(role="assistant", tool_calls=(call,)))
    assert as_json(body(history, schema={"description": half}, extra={"note": half})).isascii()


def test_texts_are_embedded_whole_or_not_at_all() -> None:
    request = EmbeddingRequest("nomic-embed-text", ("a", "b\x00"), dimensions=64)
    replaced = "b\N{REPLACEMENT CHARACTER}"
    assert embed_body(request) == {
        "model": "nomic-embed-text",
        "input": ["a", replaced],
        "dimensions": 64,
        "truncate": False,
    }
    assert "dimensions" not in embed_body(EmbeddingRequest("nomic-embed-text", ("a",)))
