from typing import Any

import orjson
import pytest

from common.contracts.messages import ImagePart, Message, TextPart, Tool, ToolCall
from common.errors import Unsupported, UpstreamRejected
from common.providers.google_request import UNSIGNED, as_json, embed_body, generate_body, resource
from common.providers.protocol import ModelRequest

USER = Message(role="user", content="Hello")
TOOL = Tool(name="now", description="The time.")


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    return generate_body(ModelRequest("gemini-2.5-pro", messages or (USER,), **fields))


def contents(*messages: Message) -> list[dict[str, Any]]:
    return body(*messages)["contents"]


def called(*calls: tuple[str, str], arguments: str = "{}") -> Message:
    tool_calls = tuple(ToolCall(id=given, name=name, arguments=arguments) for given, name in calls)
    return Message(role="assistant", tool_calls=tool_calls)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("odd?key=1#2:x", "models/odd%3Fkey%3D1%232%3Ax"),
    ],
)
def test_a_model_is_a_path(model: str, path: str) -> None:
    assert resource(model) == path


def test_system_prompts_stand_apart_in_one() -> None:
    asked = body(Message(role="system", content="Be kind."), USER, Message(role="system", content="Be brief."))
    assert asked["systemInstruction"] == {"parts": [{"text": "Be kind.\n\nBe brief."}]}
    assert asked["contents"] == [{"role": "user", "parts": [{"text": "Hello"}]}]
    assert "systemInstruction" not in body(Message(role="system", content=" "), USER)


def test_neighbours_of_one_role_are_one_turn_and_silence_is_none() -> None:
    turns = contents(
        USER,
        Message(role="assistant", content=""),
        Message(role="user", content="Still there?"),
        Message(role="assistant", content="Yes."),
    )
    assert turns == [
        {"role": "user", "parts": [{"text": "Hello"}, {"text": "Still there?"}]},
        {"role": "model", "parts": [{"text": "Yes."}]},
    ]


def test_an_image_is_sent_and_one_elsewhere_is_fetched() -> None:
    [turn] = contents(
        Message(
            role="user",
            content=(
                TextPart(text="Look:"),
                ImagePart(url="data:image/png;base64,iVBO"),
                ImagePart(url="https://example.org/cat.JPG?size=2.5"),
                ImagePart(url="https://example.org/cat"),
            ),
        )
    )
    assert turn["parts"] == [
        {"text": "Look:"},
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        {"fileData": {"fileUri": "https://example.org/cat.JPG?size=2.5", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://example.org/cat"}},
    ]


def test_an_image_that_nobody_would_fetch_is_refused() -> None:
    with pytest.raises(Unsupported, match="https"):
        body(Message(role="user", content=(ImagePart(url="http://example.org/cat.png"),)))


def test_calls_follow_the_words_and_the_first_is_signed_for_all() -> None:
    said = called(("a", "now"), ("call_1", "now")).model_copy(update={"content": "Let me see."})
    assert contents(USER, said)[1] == {
        "role": "model",
        "parts": [
            {"text": "Let me see."},
            {"functionCall": {"id": "a", "name": "now", "args": {}}, "thoughtSignature": UNSIGNED},
            {"functionCall": {"name": "now", "args": {}}},
        ],
    }


@pytest.mark.parametrize(
    ("opaques", "signatures"),
    [
        ([{"google": {"thought_signature": "s"}}, None], ["s", None]),
        ([None, {"google": {"thought_signature": "s"}}], [UNSIGNED, "s"]),
        ([{"anthropic": {"thinking_blocks": []}}, {"google": 7}], [UNSIGNED, None]),
    ],
)
def test_a_call_keeps_the_signature_that_it_came_with(opaques: list[Any], signatures: list[str | None]) -> None:
    calls = tuple(ToolCall(id="a", name="now", arguments="{}", opaque=opaque) for opaque in opaques)
    parts = contents(USER, Message(role="assistant", tool_calls=calls))[1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == signatures


@pytest.mark.parametrize(
    ("written", "args"),
    [
        ("", {}),
        ('{"zone": "UTC"}', {"zone": "UTC"}),
        ('{"zone": ', {"malformed": '{"zone": '}),
        ('["UTC"]', {"malformed": '["UTC"]'}),
    ],
)
def test_arguments_are_an_object_whatever_the_model_wrote(written: str, args: dict[str, Any]) -> None:
    [part] = contents(USER, called(("a", "now"), arguments=written))[1]["parts"]
    assert part["functionCall"]["args"] == args


def test_results_name_their_tools_and_are_one_turn() -> None:
    turns = contents(
        USER,
        called(("a", "now"), ("b", "weather")),
        Message(role="tool", tool_call_id="b", content="Rain."),
        Message(role="tool", tool_call_id="a", content='{"hour": 7}'),
        Message(role="user", content="Well?"),
    )
    assert turns[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "b", "name": "weather", "response": {"output": "Rain."}}},
            {"functionResponse": {"id": "a", "name": "now", "response": {"output": '{"hour": 7}'}}},
            {"text": "Well?"},
        ],
    }


def test_an_id_that_comes_again_is_the_latest_call_s() -> None:
    result = Message(role="tool", tool_call_id="call_0", content="Done.")
    turns = contents(USER, called(("call_0", "now")), result, called(("call_0", "weather")), result)
    names = [part["functionResponse"]["name"] for turn in turns[2::2] for part in turn["parts"]]
    assert names == ["now", "weather"]


@pytest.mark.parametrize("given", ["unknown", None, "later"])
def test_a_result_without_its_call_before_it_is_refused(given: str | None) -> None:
    with pytest.raises(UpstreamRejected, match="answers no call"):
        body(USER, Message(role="tool", tool_call_id=given, content="Rain."), called(("later", "now")))


def test_an_image_in_a_result_is_refused() -> None:
    seen = (ImagePart(url="data:image/png;base64,iVBO"),)
    with pytest.raises(Unsupported, match="images in a tool's result"):
        body(USER, called(("a", "now")), Message(role="tool", tool_call_id="a", content=seen))


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("now", {"mode": "ANY", "allowedFunctionNames": ["now"]}),
    ],
)
def test_a_choice_is_a_mode(choice: str, config: dict[str, Any]) -> None:
    assert body(tools=(TOOL,), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}
    assert body(tool_choice=choice).keys() == {"contents"}
    assert "toolConfig" not in body(tools=(TOOL,))


def test_parameters_go_by_google_s_names_or_by_the_model_s() -> None:
    sampling = {"temperature": 0.0, "top_p": 0.5, "max_tokens": 7, "stop": ("END",), "seed": 0}
    asked = body(**sampling, renamed={"max_tokens": "maxTokens"})
    assert asked["generationConfig"] == {
        "temperature": 0.0,
        "topP": 0.5,
        "maxTokens": 7,
        "stopSequences": ["END"],
        "seed": 0,
    }


def test_a_schema_is_json_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    config = body(schema=schema)["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": schema}


def test_extra_is_merged_joined_and_what_it_sets_to_null_is_left_out() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    asked = body(
        temperature=0.5,
        stop=("END",),
        tools=(TOOL,),
        extra={
            "generationConfig": {"temperature": None, "stopSequences": ["STOP"], "thinkingConfig": {"a": None, "b": 1}},
            "tools": [{"googleSearch": {}}],
            "safetySettings": safety,
        },
    )
    assert asked["generationConfig"] == {"stopSequences": ["END", "STOP"], "thinkingConfig": {"b": 1}}
    declared, search = asked["tools"]
    assert declared["functionDeclarations"][0]["name"] == "now"
    assert search == {"googleSearch": {}}
    assert asked["safetySettings"] == safety


def test_texts_are_embedded_by_the_model_named_with_each() -> None:
    assert embed_body("models/e", ("a", "b"), None) == {
        "requests": [
            {"model": "models/e", "content": {"parts": [{"text": "a"}]}},
            {"model": "models/e", "content": {"parts": [{"text": "b"}]}},
        ]
    }


def test_what_utf_8_cannot_carry_is_replaced_wherever_it_stands() -> None:
    tool = Tool(name="now", description="\ud83d\ude42 \ud800")
    sent = orjson.loads(as_json(body(Message(role="user", content="\udfff"), tools=(tool,))))
    assert sent["contents"][0]["parts"] == [{"text": "\N{REPLACEMENT CHARACTER}"}]
    assert sent["tools"][0]["functionDeclarations"][0]["description"] == "🙂 \N{REPLACEMENT CHARACTER}"
