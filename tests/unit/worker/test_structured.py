import json
import time

import pytest
from pydantic import BaseModel

from common.contracts import shapes
from worker.workflows.structured import parse, read

# A loop that stands still for longer loses its leases, and in the end its worker.
A_MOMENT_SECONDS = 10


class Shape(BaseModel):
    name: str
    size: int


SHAPE = shapes.Shape.model_validate(
    {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "size": 3}',
        '```json\n{"name": "x", "size": 3}\n```',
        'Sure! Here it is: {"name": "x", "size": 3} Hope that helps.',
        "{'name': 'x', 'size': 3,}",
        '{"name": "x", "size": 3',
    ],
)
def test_what_small_models_write_is_understood(text: str) -> None:
    assert parse(text, Shape) == Shape(name="x", size=3)


def test_the_document_is_found_among_pieces_of_another_shape() -> None:
    text = 'Not {"kind": "this"} but {"name": "x", "size": 3}, or [1, 2].'
    assert parse(text, Shape) == Shape(name="x", size=3)
    assert read(text, SHAPE)["name"] == "x"


@pytest.mark.parametrize("text", ["", "no idea", '{"name": "x"}', '{"name": "x", "size": "big"}', "[1, 2]"])
def test_what_is_not_there_is_not_made_up(text: str) -> None:
    assert parse(text, Shape) is None


@pytest.mark.parametrize("text", ["{" * 900, "[" * 100_000, '{"name": ' * 900])
def test_brackets_that_nobody_closes_are_no_document(text: str) -> None:
    assert parse(text, Shape) is None
    assert read(text, SHAPE) is None


@pytest.mark.parametrize("pattern", ["a{]", "{11}", '{"', '": "true“'])
def test_a_text_without_sense_is_looked_at_for_a_moment_and_given_up(pattern: str) -> None:
    began = time.process_time()
    assert parse("(" * 10 + pattern * 8000, Shape) is None
    assert time.process_time() - began < A_MOMENT_SECONDS


def test_a_long_document_that_broke_off_is_repaired() -> None:
    text = json.dumps({"name": "x", "size": 3, "more": ["one item of many, all as long as this"] * 2000})
    assert len(text) > 50_000
    assert parse(text[:-20], Shape) == Shape(name="x", size=3)
