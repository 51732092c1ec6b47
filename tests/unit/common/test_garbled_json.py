import json

import pytest

from common import garbled_json

DOCUMENT = {"summary": "Both say [scattering].", "agreements": ["Light scatters", "It is {blue}"], "score": 9}
TEXT = json.dumps(DOCUMENT)


def test_a_document_is_read_at_every_point_of_its_growth() -> None:
    begun = len('{"summary": ')
    grown = [garbled_json.read(TEXT[:length]) for length in range(begun, len(TEXT) + 1)]
    assert all(isinstance(document, dict) for document in grown)
    assert grown[-1] == DOCUMENT
    assert {"summary": "Both say [scattering]."} in grown, "it grew"


@pytest.mark.parametrize("text", [f"```json\n{TEXT}\n```", f"Sure! {TEXT} Hope that helps.", TEXT[:-1]])
def test_a_document_is_found_among_words(text: str) -> None:
    assert garbled_json.read(text) == DOCUMENT


@pytest.mark.parametrize("text", ["{" * 900, "[" * 100_000, '{"a": ' * 900])
def test_what_nobody_can_repair_is_nothing(text: str) -> None:
    assert garbled_json.read(text) is None


def test_a_text_that_takes_more_looks_than_there_are_is_given_up() -> None:
    assert garbled_json.read(TEXT[:-1], looks=10_000) == DOCUMENT
    assert garbled_json.read(TEXT[:-1], looks=10) is None
    assert garbled_json.read(TEXT, looks=0) == DOCUMENT, "what is clean needs no repair"
