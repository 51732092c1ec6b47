import json
from typing import Any

import pytest

from common.contracts.calls import Usage
from common.errors import BadUpstream, ContentRefused, Unavailable
from common.providers.google_answer import Answer
from common.providers.google_errors import Complaints
from common.providers.protocol import Delta, ToolCallDelta


def candidate(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": list(parts)}, **fields}


def event(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [candidate(*parts, **fields)]}


def heard(*events: Any) -> list[Delta]:
    answer = Answer(Complaints("google"))
    deltas = [delta for said in events if (delta := answer.read(json.dumps(said).encode()))]
    return [*deltas, answer.end()]


STOP = event(finishReason="STOP")


def test_text_is_heard_piece_by_piece_and_the_last_piece_says_why_it_ended() -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    last = {**event({"text": " upon"}, finishReason="MAX_TOKENS"), "usageMetadata": usage}
    assert heard(event({"text": "Once"}), last) == [
        Delta("Once"),
        Delta(" upon"),
        Delta("", "length", Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)),
    ]


def test_thoughts_and_what_we_do_not_know_are_no_part_of_it() -> None:
    thought = event({"text": "Hm.", "thought": True}, {"executableCode": {"code": "1"}}, {"text": "Yes."})
    assert heard(thought, STOP) == [Delta("Yes."), Delta("", "stop")]


def test_of_many_candidates_the_first_is_the_answer() -> None:
    both = {"candidates": [candidate({"text": "No."}, index=1), candidate({"text": "Yes."}, index=0)]}
    other = {"candidates": [candidate(index=1, finishReason="SAFETY")]}
    assert heard(both, STOP, other) == [Delta("Yes."), Delta("", "stop")]


def test_a_model_that_says_stop_in_every_event_is_heard_to_its_end() -> None:
    events = [event({"text": word}, finishReason="STOP") for word in ("Once ", "upon")]
    assert "".join(delta.text for delta in heard(*events)) == "Once upon"


def test_fields_of_null_are_fields_left_out() -> None:
    nulls = {"candidates": [{"content": {"parts": [{"text": "Yes.", "functionCall": None}]}, "finishReason": None}]}
    empty = {"candidates": None, "promptFeedback": None, "usageMetadata": None}
    ended = {"candidates": [{"content": None, "finishReason": "STOP"}]}
    assert heard(nulls, empty, ended) == [Delta("Yes."), Delta("", "stop")]


def test_a_call_carries_the_signature_of_its_part() -> None:
    signed = {"functionCall": {"name": "now", "id": "a"}, "thoughtSignature": "s"}
    first, *_ = heard(event(signed, {"functionCall": {"name": "now", "id": "b"}}), STOP)
    assert [call.opaque for call in first.tool_calls] == [{"google": {"thought_signature": "s"}}, None]


def test_tool_calls_come_whole_with_an_id_of_ours_where_they_have_none() -> None:
    calls = event(
        {"functionCall": {"name": "now"}},
        {"functionCall": {"name": "say", "id": "a\ud800", "args": {"word": "Größe \ud800"}}},
    )
    later = event({"functionCall": {"name": "now", "args": {}}}, finishReason="STOP")
    assert heard(calls, later) == [
        Delta(
            tool_calls=(
                ToolCallDelta(0, "call_0", "now", "{}"),
                ToolCallDelta(1, "a\N{REPLACEMENT CHARACTER}", "say", '{"word": "Größe \N{REPLACEMENT CHARACTER}"}'),
            )
        ),
        Delta(tool_calls=(ToolCallDelta(2, "call_2", "now", "{}"),)),
        Delta("", "tool_calls"),
    ]


def test_all_that_was_counted_is_in_the_usage() -> None:
    counts = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 90,
        "cachedContentTokenCount": 8,
    }
    first = {**event({"text": "Yes."}), "usageMetadata": {"promptTokenCount": 10}}
    *_, last = heard(first, {**STOP, "usageMetadata": counts}, {})
    assert last.usage == Usage(prompt_tokens=15, completion_tokens=93, total_tokens=108, cached_prompt_tokens=8)


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"])
def test_an_answer_withheld_is_refused_and_one_cut_short_is_an_answer_cut_short(reason: str) -> None:
    with pytest.raises(ContentRefused, match=f"google withheld the answer: {reason}: It may do harm"):
        heard({"candidates": [{"finishReason": reason, "finishMessage": "It may do harm."}]})
    assert heard(event({"text": "I"}), event(finishReason=reason)) == [Delta("I"), Delta("", "content_filter")]


def test_a_blocked_prompt_is_refused() -> None:
    with pytest.raises(ContentRefused, match="google blocked the prompt: OTHER"):
        heard({"promptFeedback": {"blockReason": "OTHER"}})


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "LANGUAGE", "FINISH_REASON_UNSPECIFIED", "NEW\x00"])
def test_an_end_that_is_none_of_an_answer_is_no_whole_answer(reason: str) -> None:
    with pytest.raises(BadUpstream, match="google ended its answer with"):
        heard(event({"text": "Yes."}, finishReason=reason))


def test_an_answer_without_an_end_has_broken_off() -> None:
    with pytest.raises(BadUpstream, match="broke off in the middle"):
        heard(event({"text": "Yes."}))


def test_an_error_is_its_error() -> None:
    with pytest.raises(Unavailable, match=r"google broke off: Overloaded\."):
        heard({"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}})


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"7",
        b'"\xff"',
        b'{"candidates": 7}',
        b'{"candidates": [{"content": {"parts": [7]}}]}',
        b"[" * 90_000,
    ],
)
def test_what_is_no_event_is_no_piece_of_an_answer(data: bytes) -> None:
    with pytest.raises(BadUpstream, match="no piece of an answer"):
        Answer(Complaints("google")).read(data)
