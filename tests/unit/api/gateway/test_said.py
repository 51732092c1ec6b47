from typing import Any

import pytest

from api.gateway.said import text_of, words_of

PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Wet."}]


@pytest.mark.parametrize(
    ("said", "words", "text"),
    [
        ({"content": "Wet."}, "Wet.", "Wet."),
        ({"content": PARTS}, "Wet.", "Wet."),
        ({"content": None, "refusal": "No."}, None, "No."),
        ({"content": "", "refusal": None}, None, None),
        ({"content": 7, "refusal": 7}, None, None),
        ({}, None, None),
    ],
)
def test_words_are_told_apart_from_a_refusal(said: dict[str, Any], words: str | None, text: str | None) -> None:
    assert (words_of(said), text_of(said)) == (words, text)
