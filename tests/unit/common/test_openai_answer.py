from typing import Any

import pytest

from common.providers.openai_answer import Answer, Chunk


def heard(*deltas: dict[str, Any]) -> str:
    """The text of an answer in these pieces."""
    answer = Answer("somewhere")
    chunks = [Chunk.model_validate({"choices": [{"delta": delta}]}) for delta in deltas]
    said = [delta.text for chunk in chunks for delta in answer.feed(chunk)]
    list(answer.feed(Chunk.model_validate({"choices": [{"delta": {}, "finish_reason": "stop"}]})))
    return "".join(said) + answer.end().text


@pytest.mark.parametrize(
    "content",
    [
        "Wet.",
        [{"type": "text", "text": "Wet."}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Wet."}],
    ],
)
def test_an_answer_may_come_in_parts_of_which_thoughts_are_none(content: Any) -> None:
    assert heard({"content": "Yes. "}, {"content": content}, {"content": None}) == "Yes. Wet."


@pytest.mark.parametrize(
    ("said", "meant"), [("stop", "stop"), ("eos", "stop"), ("max_tokens", "length"), ("model_length", "length")]
)
def test_why_it_ended_is_told_in_one_set_of_words(said: str, meant: str) -> None:
    answer = Answer("somewhere")
    list(answer.feed(Chunk.model_validate({"choices": [{"delta": {"content": "Wet."}, "finish_reason": said}]})))
    assert answer.end().finish_reason == meant
