import json
from typing import Any

import pytest

from common.contracts.calls import Usage
from common.errors import BadUpstream, ContextTooLong, ProviderError, Unavailable
from common.providers.ollama_answer import Answer
from common.providers.ollama_errors import Complaints
from common.providers.protocol import Delta, ToolCallDelta


def answer() -> Answer:
    return Answer(Complaints("ollama", "llama3.1"))


def line(content: str = "", *, done: bool = False, **fields: Any) -> bytes:
    message = {"role": "assistant", "content": content, **fields.pop("message", {})}
    return json.dumps({"model": "llama3.1", "message": message, "done": done, **fields}).encode()


def calling(name: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}, **fields}]}


def last(**fields: Any) -> Delta:
    reading = answer()
    reading.read(line(done=True, **fields))
    return reading.end()


def test_an_answer_is_whole_with_its_last_line() -> None:
    reading = answer()
    assert reading.read(line("Yes")) == Delta("Yes")
    assert not reading.is_whole
    counted = {"prompt_eval_count": 3, "eval_count": 1}
    assert reading.read(line(".", done=True, done_reason="stop", **counted)) == Delta(".")
    assert reading.is_whole
    assert reading.end() == Delta("", "stop", Usage(prompt_tokens=3, completion_tokens=1, total_tokens=4))


def test_thinking_is_no_part_of_the_answer() -> None:
    assert answer().read(line(message={"thinking": "Let me think."})) is None


def test_half_a_character_waits_for_its_other_half() -> None:
    reading = answer()
    assert [reading.read(line(half)) for half in ("\ud83d", "\ude00")] == [None, Delta("😀")]


def test_half_a_character_that_stays_alone_is_replaced() -> None:
    reading = answer()
    reading.read(line("\ud83d"))
    reading.read(line(done=True))
    assert reading.end().text == "\N{REPLACEMENT CHARACTER}"


def test_tool_calls_are_counted_across_lines_and_given_ids() -> None:
    reading = answer()
    deltas = [
        reading.read(line(message=calling("weather", {"town": "Zürich"}))),
        reading.read(line(message=calling("clock", {}, id="theirs"))),
    ]
    assert deltas == [
        Delta(tool_calls=(ToolCallDelta(0, "call_0", "weather", '{"town": "Zürich"}'),)),
        Delta(tool_calls=(ToolCallDelta(1, "theirs", "clock", "{}"),)),
    ]


def test_arguments_that_are_json_already_are_left_alone() -> None:
    delta = answer().read(line(message=calling("weather", '{"town":"Bern"}')))
    assert delta is not None
    assert delta.tool_calls[0].arguments == '{"town":"Bern"}'


@pytest.mark.parametrize(
    ("theirs", "has_calls", "ours"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),
        ("length", False, "length"),
        ("length", True, "length"),
        (None, False, "stop"),
    ],
)
def test_finish_reasons_are_of_one_vocabulary(theirs: str | None, has_calls: bool, ours: str) -> None:
    message = calling("weather", {}) if has_calls else {}
    assert last(message=message, done_reason=theirs).finish_reason == ours


@pytest.mark.parametrize("reason", ["load", "unload", "error"])
def test_a_model_that_was_not_asked_has_not_answered(reason: str) -> None:
    with pytest.raises(BadUpstream, match=reason):
        last(done_reason=reason)


def test_a_prompt_that_was_at_hand_counts_nothing() -> None:
    assert last(eval_count=5).usage == Usage(prompt_tokens=0, completion_tokens=5, total_tokens=5)


def test_a_server_that_does_not_count_reports_no_usage() -> None:
    assert last().usage is None


def test_a_stream_without_a_last_line_broke_off() -> None:
    reading = answer()
    reading.read(line("Yes"))
    with pytest.raises(BadUpstream, match="broke off"):
        reading.end()


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b'{"message": {"content": "Yes"}}',
        b'{"message": "none of your business", "done": false}',
        b'{"message": {"content": 1}, "done": false}',
        b'{"message": {"tool_calls": [{}]}, "done": false}',
        b'{"message": {"content": "\xff"}, "done": false}',
        b"[" * 100_000,
    ],
)
def test_a_line_of_anything_else_is_no_piece_of_an_answer(raw: bytes) -> None:
    with pytest.raises(BadUpstream, match="no line of an answer"):
        answer().read(raw)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("an error was encountered while running the model: CUDA error: out of memory", Unavailable),
        ("model runner has unexpectedly stopped", Unavailable),
        ("the input length exceeds the context length", ContextTooLong),
        ({"message": "The engine fell over"}, Unavailable),
    ],
)
def test_an_error_among_the_lines_is_an_error_even_if_it_says_done(said: Any, expected: type[ProviderError]) -> None:
    for done in (False, True):
        with pytest.raises(expected):
            answer().read(line(done=done, error=said))
