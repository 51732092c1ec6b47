"""What a council's lead model is asked, and what is made of what it says."""

from typing import Any

import pytest

from api.gateway.leading import choosing, chosen, merging

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 9, "temperature": 1.5}
TEXTS = ["Because.", "No."]


def test_the_lead_is_shown_every_answer_after_the_question() -> None:
    for body in (merging(ASKED, TEXTS), choosing(ASKED, TEXTS, is_held=False)):
        question, told = body["messages"]
        assert question == ASKED["messages"][0]
        assert all(text in told["content"] for text in TEXTS)


def test_who_writes_an_answer_may_write_as_much_as_was_asked_for_and_who_chooses_a_letter() -> None:
    assert merging(ASKED, TEXTS)["max_tokens"] == 9
    assert choosing(ASKED, TEXTS, is_held=False)["temperature"] == 0


def test_only_who_can_be_held_to_a_schema_is_given_one() -> None:
    assert "response_format" not in choosing(ASKED, TEXTS, is_held=False)
    schema = choosing(ASKED, TEXTS, is_held=True)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["best"]["enum"] == ["A", "B"]


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ('{"best": "B"}', 1),
        ('Surely this one:\n```json\n{ "best" : "B" }\n```', 1),
        ('{"best": "C"}', 0),
        ('{"best": 1}', 0),
        ("B", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_the_choice_is_found_in_what_was_said_around_it(said: str | None, place: int) -> None:
    assert chosen(said, TEXTS) == place
