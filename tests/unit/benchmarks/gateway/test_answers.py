import orjson
import pytest

from benchmarks.gateway.answers import CHUNKS, events, question, whole_answer


def chunks(*, with_usage: bool) -> list[dict[str, object]]:
    told = [event.removeprefix(b"data: ").strip() for event in events(with_usage=with_usage)]
    assert told.pop() == b"[DONE]"
    return [orjson.loads(event) for event in told]


def test_a_stream_has_sixty_four_chunks_and_only_the_last_says_why_it_ended() -> None:
    choices = [chunk["choices"] for chunk in chunks(with_usage=False)]
    reasons = [choice["finish_reason"] for [choice] in choices]  # type: ignore[misc]
    assert reasons == [None] * (CHUNKS - 1) + ["stop"]


def test_usage_is_one_chunk_more_and_null_in_all_others() -> None:
    *others, last = chunks(with_usage=True)
    assert len(others) == CHUNKS
    assert all(chunk["usage"] is None for chunk in others)
    assert last["choices"] == []
    assert last["usage"]


def test_every_word_of_a_stream_can_be_counted_by_its_space() -> None:
    assert b"".join(events(words=200, with_usage=True)).count(b'"content":" ') == 200


@pytest.mark.parametrize("is_streamed", [True, False])
def test_requests_and_answers_have_the_size_of_chats(is_streamed: bool) -> None:
    assert 1_000 < len(question("at_once-canned-1", is_streamed=is_streamed)) < 2_000
    assert 1_000 < len(whole_answer()) < 2_000
