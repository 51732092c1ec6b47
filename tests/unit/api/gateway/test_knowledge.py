from typing import Any

import pytest

from api.gateway.knowledge import Document, parse, question_of, with_documents

FOUND = [
    Document("ECSS-E-ST-32-08C", 45, 0.85424, "Fairings shall hold."),
    Document("ECSS-E-ST-32-08C", 46, 0.8234, None),
]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_documents_stand_right_before_the_last_question() -> None:
    talk = [user("Hello"), {"role": "assistant", "content": "Hi"}, user("What is the payload fairing design?")]
    said = with_documents(talk, FOUND)
    assert [message["role"] for message in said] == ["user", "assistant", "system", "user"]
    assert said[2]["content"] == (
        "Relevant documents from knowledge base:\n\n"
        "[Document 1 - ECSS-E-ST-32-08C Page 45]:\n(Score: 0.8542)\nFairings shall hold.\n\n"
        "[Document 2 - ECSS-E-ST-32-08C Page 46]:\n(Score: 0.8234)\n\n"
        "Use this context to help answer the user's question."
    )


def test_without_documents_the_conversation_stays_as_it_is() -> None:
    assert with_documents([user("Hello")], []) == [user("Hello")]


def test_the_question_is_the_last_users_words() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "image_url"}, {"type": "text", "text": "this?"}]
    assert question_of([user("Hello"), user(parts), {"role": "tool", "content": "x"}]) == "What is\nthis?"
    assert question_of([{"role": "system", "content": "Be brief."}]) is None
    assert question_of([user([{"type": "image_url"}])]) is None


def test_the_best_documents_come_first_and_a_page_may_be_missing() -> None:
    answer = {"documents": [{"id": "a", "score": 0.1}, {"id": "b", "score": 1, "source": "s\n x", "page_index": 0}]}
    assert parse(answer) == [Document("s x", 0, 1.0, None), Document("a", None, 0.1, None)]


@pytest.mark.parametrize("answer", [None, {}, {"documents": "x"}, {"documents": [1]}, {"documents": [{"id": "a"}]}])
def test_an_answer_that_is_none_of_the_contracts_is_no_answer(answer: Any) -> None:
    with pytest.raises(ValueError, match="document"):
        parse(answer)
