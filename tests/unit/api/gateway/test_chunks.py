"""Events of upstreams, as they go on to clients."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gateway.chunks import Chunks
from api.gateway.faults import Fault
from api.gateway.kinds import CHAT, COMPLETION, Kind
from common.contracts.calls import Usage
from common.errors import BadUpstream, RateLimited
from common.providers.sse import MAX_EVENT_BYTES

Chunk = dict[str, Any]

HEAD: Chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o-2024"}
COUNTED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
DONE = b"data: [DONE]\n\n"


def chunk(delta: Chunk, reason: str | None = None, **more: Any) -> Chunk:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**HEAD, "choices": [choice], **more}


def event(chunk: Chunk) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


STORY = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in ("Once", " upon"))]
END = chunk({}, "stop")
USAGE = {**HEAD, "choices": [], "usage": COUNTED}
WHOLE = b"".join([*map(event, STORY), event(END), event(USAGE), DONE])


def chunks(*, wants_usage: bool = False, kind: Kind = CHAT, choices: int = 1) -> Chunks:
    return Chunks(kind, "somewhere", "openai-gpt4o", wants_usage=wants_usage, choices=choices)


def passed(*pieces: bytes, **how: Any) -> list[Chunk]:
    """What a client gets of these pieces, end and all."""
    reading = chunks(**how)
    out = b"".join([reading.feed(piece) for piece in pieces] + [reading.end()])
    return read(out)


def read(out: bytes) -> list[Chunk]:
    assert not out or out.endswith(b"\n\n")
    return [json.loads(one.removeprefix(b"data: ")) for one in out.split(b"\n\n") if one]


def text(read: list[Chunk]) -> str:
    return "".join(choice["delta"].get("content") or "" for one in read for choice in one["choices"])


def test_a_stream_goes_on_as_it_came_but_for_the_models_name() -> None:
    assert passed(WHOLE) == [{**one, "model": "openai-gpt4o"} for one in (*STORY, END)]


@pytest.mark.parametrize("more", [{}, {"usage": None}, {"obfuscation": "x3", "usage": None}])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,", " : ")])
@pytest.mark.parametrize("name", ["content", "reasoning_content"])
def test_once_its_hand_is_known_the_bytes_are_those_of_the_server(
    separators: tuple[str, str], more: Chunk, name: str
) -> None:
    def write(words: str) -> bytes:
        said = json.dumps(chunk({name: words}, **more), separators=separators, ensure_ascii=False)
        return f"data: {said}\n\n".encode()

    reading = chunks()
    reading.feed(write("Once"))
    for words in (' "a"', "", " \\ \n é 😀", '"model":"x"'):
        [passed_on] = read(out := reading.feed(write(words)))
        assert passed_on["choices"][0]["delta"] == {name: words}
        separator = separators[1].encode()
        assert out == write(words).replace(b'"model"%b"gpt-4o-2024"' % separator, b'"model":"openai-gpt4o"', 1)


@pytest.mark.parametrize("name", [b"data:", b"data:  ", b"id: 7\ndata:", b"event: message\ndata: "])
def test_a_server_may_begin_its_events_as_the_standard_lets_it(name: bytes) -> None:
    pieces = [event(one).replace(b"data: ", name, 1) for one in (*STORY, STORY[2], END)]
    assert passed(*pieces, DONE) == [{**one, "model": "openai-gpt4o"} for one in (*STORY, STORY[2], END)]


def test_a_character_cut_in_half_is_whole_for_who_joins_the_halves() -> None:
    def half(escape: str) -> bytes:
        return event(chunk({"content": "HALF"})).replace(b"HALF", escape.encode())

    halves = passed(half("\\ud83d"), half("\\ude00"), event(END), DONE)
    assert text(halves).encode("utf-16", "surrogatepass").decode("utf-16") == "😀"


def test_usage_is_known_to_us_and_told_only_to_those_who_asked() -> None:
    reading = chunks()
    reading.feed(WHOLE)
    assert reading.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert passed(WHOLE, wants_usage=True)[-1] == {**USAGE, "model": "openai-gpt4o"}


def test_usage_that_came_with_the_last_words_is_told_apart_from_them() -> None:
    with_words = b"".join([*map(event, STORY), event(chunk({}, "stop", usage=COUNTED)), DONE])
    told = passed(with_words, wants_usage=True)
    assert "usage" not in told[-2]
    assert (told[-1]["choices"], told[-1]["usage"]) == ([], COUNTED)


def test_usage_is_told_once_however_often_the_end_is_asked_for() -> None:
    reading = chunks(wants_usage=True)
    reading.feed(event(chunk({"content": "Once"}, "stop", usage=COUNTED)).rstrip())  # no line ends the only event
    assert [one.get("usage") for one in read(reading.end())] == [None, COUNTED]
    assert reading.end() == b""


def test_nothing_goes_on_before_the_first_token() -> None:
    reading = chunks()
    assert reading.feed(b": waiting\n\n" + event(STORY[0])) == b""
    assert not reading.has_begun
    assert len(read(reading.feed(event(STORY[1])))) == 2
    assert reading.has_begun


def test_a_server_may_not_say_nothing_without_end() -> None:
    reading = chunks()
    nothing = event(STORY[0]) * 1000
    for _ in range(MAX_EVENT_BYTES // len(nothing) + 2):
        assert reading.feed(nothing) == b""
    assert reading.fault is not None
    assert isinstance(reading.fault.error, BadUpstream)


@pytest.mark.parametrize("delta", [{"tool_calls": [{"index": 0}]}, {"reasoning_content": "Hm"}, {"refusal": "No"}])
def test_a_first_token_may_be_something_else_than_a_word(delta: Chunk) -> None:
    reading = chunks()
    reading.feed(event(chunk(delta)))
    assert reading.has_begun


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6), st.booleans())
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int], has_returns: bool) -> None:
    data = WHOLE.replace(b"\n", b"\r\n") if has_returns else WHOLE
    places = sorted({0, len(data), *cuts})
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert passed(*pieces, wants_usage=True) == passed(WHOLE, wants_usage=True)


# What looks like the gateway's own marks, where only words are meant.
TRICKY = st.sampled_from(['"finish_reason":null', '"error"', '"usage":{', "data: [DONE]", "\n\n", "\\", '"tool_calls"'])
WORDS = st.lists(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), TRICKY), min_size=1, max_size=8)


@given(WORDS)
def test_whatever_a_model_says_is_passed_on_word_for_word(words: list[str]) -> None:
    pieces = [event(chunk({"content": word})) for word in ["begin", *words]]
    assert text(passed(*pieces, event(END), DONE)) == "".join(["begin", *words])


def nearly() -> Iterator[tuple[Chunk, Chunk]]:
    """Chunks of servers that are nearly compatible, and what becomes of them."""
    good = chunk({"content": "x"})
    bare = {"choices": [{"delta": {"content": "x"}}]}
    yield bare, {"index": 0, "delta": {"content": "x"}, "logprobs": None, "finish_reason": None}
    yield chunk({"content": "x", "tool_calls": None, "function_call": None}), good["choices"][0]
    yield chunk({"content": "x"}, ""), good["choices"][0]
    yield {**good, "system_fingerprint": None, "created": 99, "id": "another"}, good["choices"][0]
    whole_call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    yield chunk({"tool_calls": [whole_call]}), chunk({"tool_calls": [{**whole_call, "index": 0}]})["choices"][0]


@pytest.mark.parametrize(("said", "choice"), list(nearly()))
def test_what_is_nearly_a_chunk_is_made_one(said: Chunk, choice: Chunk) -> None:
    for before in ([], STORY):
        one = passed(*map(event, before), event(said), event(END), DONE)[-2]
        assert one.keys() == HEAD.keys() | {"choices"}
        assert one["choices"] == [choice]
        if before:
            assert (one["id"], one["created"]) == (HEAD["id"], HEAD["created"])


@pytest.mark.parametrize("nothing", [{}, {"choices": None}, {"choices": []}, {"object": "ping"}])
def test_events_that_say_nothing_are_passed_over_wherever_they_stand(nothing: Chunk) -> None:
    events = [event(STORY[0]), event(STORY[1]), event(END)]
    for place in range(1, len(events)):  # the first one names the answer
        assert passed(*events[:place], event(nothing), *events[place:], DONE) == passed(*events, DONE)


def test_the_end_goes_by_another_name_at_some_servers() -> None:
    assert passed(event(STORY[1]), event(chunk({}, "eos")), DONE)[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_server_that_forgets_to_say_done_said_why_it_ended() -> None:
    assert len(passed(event(STORY[1]), event(END))) == 2


def test_an_event_without_its_empty_line_counts_at_the_end() -> None:
    assert len(passed(event(STORY[1]), event(END).rstrip())) == 2


@pytest.mark.parametrize(
    "data",
    [
        event(STORY[1]),  # and nothing more
        event(STORY[1]) + DONE,  # without a reason
        event(STORY[1]) + b'data: {"choices": [\n\n',
        event(STORY[1]) + b"data: []\n\n",
        event(STORY[1]) + event({"choices": "none"}),
        event(STORY[1]) + event(chunk({"tool_calls": 7})),
        event(STORY[1]) + event(chunk({}, "abort")),
        event(STORY[1]) + event(STORY[2]).replace(b"upon", b"\xff"),
    ],
)
def test_what_breaks_off_or_cannot_be_read_is_never_whole(data: bytes) -> None:
    for before in (b"", event(STORY[1]) * 3):
        with pytest.raises(Fault) as caught:
            passed(before + data)
        assert isinstance(caught.value.error, BadUpstream)


def test_with_two_choices_both_have_to_end() -> None:
    def second(one: Chunk) -> Chunk:
        return {**one, "choices": [{**one["choices"][0], "index": 1}]}

    said = [event(STORY[1]), event(second(STORY[1])), event(END)]
    with pytest.raises(Fault):
        passed(*said, choices=2)
    assert len(passed(*said, event(second(END)), choices=2)) == 4


@pytest.mark.parametrize("field", [b'data: {"error": %b}', b"error: %b", b'event: error\ndata: {"error": %b}'])
@pytest.mark.parametrize("begins", [b"", event(STORY[1]) * 3])
def test_an_error_in_the_stream_is_what_the_server_says_it_is(begins: bytes, field: bytes) -> None:
    said = field % b'{"message": "Slow down", "code": "rate_limit_exceeded"}'
    with pytest.raises(Fault, match="somewhere broke off: Slow down") as caught:
        passed(begins + said + b"\n\n")
    assert isinstance(caught.value.error, RateLimited)


def test_an_event_that_never_ends_is_given_up() -> None:
    reading = chunks()
    for _ in range(100):
        if reading.fault is not None:
            break
        reading.feed(b"x" * 65_536)
    assert isinstance(reading.fault.error if reading.fault else None, BadUpstream)


def test_what_came_before_a_fault_is_passed_on() -> None:
    reading = chunks()
    out = reading.feed(b"".join(map(event, STORY)) + b"data: {\n\n" + event(END))
    assert text(read(out)) == "Once upon"
    assert reading.fault is not None


def test_completions_are_chunks_of_text() -> None:
    head = {**HEAD, "object": "text_completion"}
    choice = {"index": 0, "text": "x", "logprobs": None, "finish_reason": None}
    said = [{**head, "choices": [choice]}] * 3 + [
        {**head, "choices": [{**choice, "text": "", "finish_reason": "stop"}]}
    ]
    assert passed(*map(event, said), DONE, kind=COMPLETION) == [{**one, "model": "openai-gpt4o"} for one in said]
