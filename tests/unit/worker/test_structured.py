import pytest
from pydantic import BaseModel

from worker.workflows.structured import parse


class Shape(BaseModel):
    name: str
    size: int


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


@pytest.mark.parametrize("text", ["", "no idea", '{"name": "x"}', '{"name": "x", "size": "big"}', "[1, 2]"])
def test_what_is_not_there_is_not_made_up(text: str) -> None:
    assert parse(text, Shape) is None
