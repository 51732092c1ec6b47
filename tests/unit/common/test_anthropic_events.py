from collections.abc import Iterable
from typing import Any

import pytest

from common.contracts.calls import Usage
from common.errors import BadUpstream, ContentRefused
from common.providers.anthropic_events import MessageReader
from common.providers.complete import ToolCalls
from common.providers.protocol import Delta


def start(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": usage}}


def block(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None = "end_turn", usage: dict[str, int] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **fields}, "usage": usage or {}}


def read(*events: Any) -> list[Delta]:
    reader = MessageReader("anthropic")
    return [*(piece for event in events if (piece := reader.feed(event))), reader.last()]


def said(pieces: Iterable[Delta]) -> str:
    return "".join(piece.text for piece in pieces)


def test_words_come_as_they_are_said_and_the_end_comes_last() -> None:
    pieces = read(
        start(input_tokens=5, output_tokens=1),
        block(0, "text", text=""),
        {"type": "ping"},
        delta(0, "text_delta", text="Two "),
        delta(0, "text_delta", text="rivers."),
        stop(0),
        end(usage={"output_tokens": 4}),
        {"type": "message_stop"},
    )
    usage = Usage(prompt_tokens=5, completion_tokens=4, total_tokens=9)
    assert pieces == [Delta("Two "), Delta("rivers."), Delta("", "stop", usage)]


def test_a_prompt_is_what_was_read_with_and_without_a_cache() -> None:
    counts = {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}
    *_, last = read(start(**counts), end(usage={"output_tokens": 7}))
    assert last.usage == Usage(prompt_tokens=125, completion_tokens=7, total_tokens=132, cached_prompt_tokens=100)


def test_the_last_count_is_right() -> None:
    *_, last = read(start(input_tokens=5, output_tokens=1), end(usage={"input_tokens": 50, "output_tokens": 7}))
    assert last.usage == Usage(prompt_tokens=50, completion_tokens=7, total_tokens=57)


def test_a_server_that_does_not_count_reports_no_usage() -> None:
    *_, last = read(block(0, "text"), delta(0, "text_delta", text="Yes."), end())
    assert last == Delta("", "stop", None)


def test_thinking_and_what_we_do_not_know_are_no_part_of_the_answer() -> None:
    pieces = read(
        block(0, "thinking", thinking=""),
        delta(0, "thinking_delta", thinking="Let me see."),
        delta(0, "signature_delta", signature="abc"),
        stop(0),
        block(1, "hologram", text="boo"),
        delta(1, "hologram_delta", light=[1, 2]),
        {"type": "intermission"},
        block(2, "text", text=""),
        delta(2, "text_delta", text="So it is."),
        delta(2, "citations_delta", citation={"type": "char_location"}),
        end(),
    )
    assert said(pieces) == "So it is."


def test_a_character_cut_in_half_between_two_pieces_is_whole() -> None:
    assert said(read(delta(0, "text_delta", text="cut\ud83d"), delta(0, "text_delta", text="\ude00"), end())) == "cut😀"
    assert said(read(delta(0, "text_delta", text="lost\ud83d"), end())) == "lost\N{REPLACEMENT CHARACTER}"


def test_calls_of_tools_are_counted_by_themselves_and_written_piece_by_piece() -> None:
    pieces = read(
        block(0, "text", text=""),
        delta(0, "text_delta", text="Let me look."),
        stop(0),
        block(1, "tool_use", id="toolu_1", name="weather", input={}),
        delta(1, "input_json_delta", partial_json=""),
        delta(1, "input_json_delta", partial_json='{"place": '),
        delta(1, "input_json_delta", partial_json='"here"}'),
        stop(1),
        block(2, "tool_use", id="toolu_2", name="now", input={}),
        delta(2, "input_json_delta", partial_json=""),
        stop(2),
        end("tool_use"),
    )
    calls = ToolCalls()
    for piece in pieces:
        calls.add(piece.tool_calls)
    assert [(call.id, call.name, call.arguments) for call in calls.whole()] == [
        ("toolu_1", "weather", '{"place": "here"}'),
        ("toolu_2", "now", "{}"),
    ]
    assert [piece.arguments for part in pieces for piece in part.tool_calls if piece.index == 0] == [
        "",
        '{"place": ',
        '"here"}',
    ]
    assert pieces[-1].finish_reason == "tool_calls"


def test_a_call_carries_the_thoughts_that_led_to_it() -> None:
    pieces = read(
        block(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Let me "),
        delta(0, "thinking_delta", thinking="see."),
        delta(0, "signature_delta", signature="signed"),
        stop(0),
        block(1, "redacted_thinking", data="secret"),
        stop(1),
        block(2, "text", text=""),
        delta(2, "citations_delta"),
        stop(2),
        block(3, "tool_use", id="toolu_1", name="weather", input={}),
        stop(3),
        block(4, "tool_use", id="toolu_2", name="now", input={}),
        stop(4),
        end("tool_use"),
    )
    calls = ToolCalls()
    for piece in pieces:
        calls.add(piece.tool_calls)
    assert said(pieces) == ""
    thoughts = [
        {"type": "thinking", "thinking": "Let me see.", "signature": "signed"},
        {"type": "redacted_thinking", "data": "secret"},
    ]
    assert [call.opaque for call in calls.whole()] == [{"anthropic": {"thinking_blocks": thoughts}}, None]


def test_arguments_that_come_whole_with_the_call_are_its_arguments() -> None:
    pieces = read(block(0, "tool_use", id="toolu_1", name="now", input={"zone": "UTC"}), stop(0), end("tool_use"))
    assert [piece.arguments for part in pieces for piece in part.tool_calls] == ["", '{"zone": "UTC"}']


def test_the_server_s_own_tools_are_no_calls_of_ours() -> None:
    pieces = read(
        block(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query": "rivers"}'),
        stop(0),
        end("pause_turn"),
    )
    assert pieces == [Delta("", "length")]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("tool_use", "tool_calls"),
    ],
)
def test_finish_reasons_are_of_one_vocabulary(theirs: str, ours: str) -> None:
    assert read(end(theirs))[-1].finish_reason == ours


def test_an_end_that_nobody_can_interpret_is_no_whole_answer() -> None:
    with pytest.raises(BadUpstream, match="'boredom'"):
        read(end("boredom"))


def test_a_refusal_is_no_answer_and_says_why_where_it_does() -> None:
    with pytest.raises(ContentRefused, match=r"declined to answer\.$"):
        read(end("refusal"))
    explanation = "It may do harm. " * 100
    with pytest.raises(ContentRefused, match=r"declined to answer: It may do harm\.") as caught:
        read(end("refusal", stop_details={"type": "refusal", "category": "bio", "explanation": explanation}))
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("events", [[], [{"type": "message_stop"}], [end(None), {"type": "message_stop"}]])
def test_a_message_without_a_reason_for_its_end_has_not_ended(events: list[dict[str, Any]]) -> None:
    with pytest.raises(BadUpstream, match="broke off"):
        read(start(), delta(0, "text_delta", text="Once upon"), *events)


@pytest.mark.parametrize(
    "event",
    [
        None,
        "hello",
        {},
        {"type": 7},
        {"type": "content_block_delta"},
        {"type": "content_block_delta", "delta": "none of your business"},
        delta(0, "text_delta"),
        delta(0, "input_json_delta", text="{}"),
        {"type": "message_delta", "delta": {"stop_reason": 1}},
        start(input_tokens="many"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_event_is_not_passed_over(event: Any) -> None:
    with pytest.raises(BadUpstream, match="no piece of an answer"):
        read(event, end())
