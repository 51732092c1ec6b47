import json
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from common.providers.mock_json import document
from tests.unit.odd import odd_versions


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Bounds(BaseModel):
    label: str = Field(max_length=2)
    exactly: str = Field(min_length=30, max_length=30)
    long: str = Field(min_length=100)
    whole: int = Field(ge=-3, le=-1)
    above: int = Field(gt=100)
    below: int = Field(lt=-100)
    even: int = Field(ge=1, le=9, multiple_of=2)
    share: float = Field(gt=0, lt=1)
    fixed: float = Field(ge=0.5, le=0.5)
    few: list[int] = Field(max_length=1)
    many: list[bool] = Field(min_length=7)
    pair: tuple[int, str]


class Tree(BaseModel):
    name: Colour
    parent: "Tree | None"
    children: list["Tree"]


class Choices(BaseModel):
    kind: Literal["only"]
    some: Literal["a", "b"]
    maybe: int | None
    nothing: None
    anything: Any
    free: dict[str, int]
    either: Annotated[int, Field(ge=3)] | str
    optional: str = "left out"


@pytest.mark.parametrize("shape", [Bounds, Tree, Choices, list[Colour], bool])
@given(digest=st.binary(min_size=1, max_size=8))
def test_a_document_is_valid_against_its_schema(shape: Any, digest: bytes) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(shape)
    adapter.validate_json(document(adapter.json_schema(), digest), strict=True)


def test_equal_digests_give_equal_documents_and_others_other_ones() -> None:
    schema = Bounds.model_json_schema()
    assert document(schema, b"one") == document(schema, b"one")
    assert document(schema, b"one") != document(schema, b"two")


def test_the_items_of_a_list_are_labelled_in_order() -> None:
    class Placing(BaseModel):
        label: str = Field(max_length=1)

    placings = TypeAdapter(list[Placing])
    labels = [placing.label for placing in placings.validate_json(document(placings.json_schema(), b"x"))]
    assert labels == ["A", "B", "C"]


RICH: dict[str, Any] = {
    "$defs": {"name": {"type": "string", "minLength": 3, "maxLength": 9}},
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"$ref": "#/$defs/name"},
        "age": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2}, {"type": "null"}]},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "kind": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"const": 1}, "prefixItems": [{"type": "boolean"}], "minItems": 2},
    },
}
SELF = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}


def test_whatever_is_no_schema_is_refused_as_such() -> None:
    drawn = 0
    for odd in (RICH, *odd_versions(RICH)):
        try:
            json.loads(document(odd, b"odd"))
        except ValueError:
            continue
        drawn += 1
    assert drawn > 50


@pytest.mark.parametrize(
    "endless",
    [
        SELF,
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 100, "items": {"type": "array", "minItems": 100, "items": {"const": 1}}},
        {"enum": []},
        {"type": "integer", "multipleOf": 0},
    ],
)
def test_what_has_no_end_is_not_begun(endless: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nothing can be drawn"):
        document(endless, b"endless")
