from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import pytest

from common.cache import CachedAnswer, key_of
from common.cache.answers import MAX_BYTES, decoded, encoded
from common.contracts.calls import Usage
from common.contracts.messages import ImagePart, Message, TextPart, Tool, ToolCall
from common.contracts.reasoning import Reasoning
from common.providers.protocol import ModelRequest

REQUEST = ModelRequest(
    model="gpt-4o",
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="Why?")),
)
WEATHER = Tool(name="weather", description="Tells the weather.")
CALLED = ToolCall(id="1", name="weather", arguments='{"city": "Bern"}')
WHOLE = CachedAnswer(text="Because.", finish_reason="stop", usage=Usage(prompt_tokens=3, total_tokens=3))

# One other value for every field: a field that is added needs a decision here, and a place in the key.
OTHERS: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": (*REQUEST.messages, Message(role="assistant", content="Because.")),
    "temperature": 0.0,
    "top_p": 0.5,
    "max_tokens": 10,
    "stop": ("\n",),
    "seed": 0,
    "tools": (WEATHER,),
    "tool_choice": "none",
    "schema": {"type": "object"},
    "reasoning": Reasoning(effort="low"),
    "timeout_seconds": 1.0,
    "extra": {"min_p": 0.1},
    "renamed": {"max_tokens": "max_completion_tokens"},
}


def test_every_field_of_a_request_was_thought_of() -> None:
    assert set(OTHERS) == {field.name for field in fields(ModelRequest)}


@pytest.mark.parametrize("name", sorted(OTHERS.keys() - {"timeout_seconds"}))
def test_whatever_may_change_the_answer_changes_the_key(name: str) -> None:
    assert key_of("openai", replace(REQUEST, **{name: OTHERS[name]})) != key_of("openai", REQUEST)


def test_another_provider_is_another_answer_and_another_deadline_is_not() -> None:
    assert key_of("azure", REQUEST) != key_of("openai", REQUEST)
    assert key_of("openai", replace(REQUEST, timeout_seconds=1.0)) == key_of("openai", REQUEST)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Message(role="user", content="Why?"), Message(role="system", content="Why?")),
        (
            Message(role="user", content=(TextPart(text="See"), ImagePart(url="https://a/1.png"))),
            Message(role="user", content=(TextPart(text="See"), ImagePart(url="https://a/2.png"))),
        ),
        (Message(role="assistant"), Message(role="assistant", tool_calls=(CALLED,))),
        (
            Message(role="tool", content="sun", tool_call_id="1"),
            Message(role="tool", content="sun", tool_call_id="2"),
        ),
    ],
)
def test_turns_that_differ_in_anything_are_different_turns(one: Message, other: Message) -> None:
    assert key_of("x", replace(REQUEST, messages=(one,))) != key_of("x", replace(REQUEST, messages=(other,)))


def test_what_two_messages_say_is_not_what_one_says() -> None:
    apart = replace(REQUEST, messages=(Message(role="user", content="a"), Message(role="user", content="b")))
    together = replace(REQUEST, messages=(Message(role="user", content="ab"),))
    assert key_of("x", apart) != key_of("x", together)


def test_the_order_of_a_schema_s_properties_counts_since_it_is_the_order_of_the_answer() -> None:
    one, other = {"a": {}, "b": {}}, {"b": {}, "a": {}}
    assert key_of("x", replace(REQUEST, schema=one)) != key_of("x", replace(REQUEST, schema=other))


def test_a_lone_surrogate_and_a_mapping_of_another_kind_have_keys_too() -> None:
    odd = replace(REQUEST, messages=(Message(role="user", content="\ud800"),))
    assert key_of("x", odd) != key_of("x", REQUEST)
    renamed = {"max_tokens": "n"}
    frozen = replace(REQUEST, renamed=MappingProxyType(renamed))
    assert key_of("x", frozen) == key_of("x", replace(REQUEST, renamed=renamed))


@pytest.mark.parametrize("answer", [WHOLE, CachedAnswer(finish_reason="tool_calls", tool_calls=(CALLED,))])
def test_a_whole_answer_comes_back_as_it_was(answer: CachedAnswer) -> None:
    value = encoded(answer)
    assert value is not None
    assert decoded(value) == answer


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE.model_copy(update={"finish_reason": "length"}),
        WHOLE.model_copy(update={"finish_reason": "content_filter"}),
        WHOLE.model_copy(update={"finish_reason": None}),
        WHOLE.model_copy(update={"text": " \n"}),
        WHOLE.model_copy(update={"text": "é" * (MAX_BYTES // 2)}),
        WHOLE.model_copy(update={"text": "\ud800"}),
    ],
    ids=["cut off", "filtered", "unended", "empty", "huge", "no text"],
)
def test_an_answer_that_others_should_not_get_is_not_stored(answer: CachedAnswer) -> None:
    assert encoded(answer) is None


@pytest.mark.parametrize(
    "value", [b"", b"\xff\xfe", b"{", b"[]", b'{"text": 7}', b"{}", b'{"text":"Half","finish_reason":"length"}']
)
def test_a_value_that_is_not_ours_is_no_answer(value: bytes) -> None:
    assert decoded(value) is None


def test_a_field_of_a_later_release_is_read_over() -> None:
    assert decoded(b'{"text":"Because.","finish_reason":"stop","mood":"fine"}') == CachedAnswer(
        text="Because.", finish_reason="stop"
    )
