"""What a shape reads out of what a model wrote."""

from typing import Any

import pytest

from common.contracts.shapes import Shape


def shape(**fields: Any) -> Shape:
    return Shape.model_validate(fields)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["", "7"], [7, None, True, []]),
        ("integer", [0, -7], [7.5, "7", True, None, 10**30]),
        ("number", [0, 7.5], ["7", False, float("nan"), float("inf"), 10**400]),
        ("boolean", [True, False], [0, 1, "true", None]),
    ],
)
def test_a_value_is_of_its_type_and_no_other(kind: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert shape(type=kind).read(value) == value
    for value in bad:
        with pytest.raises(ValueError, match=f"no {kind}"):
            shape(type=kind).read(value)


def test_an_object_keeps_what_is_described_and_leaves_out_the_rest() -> None:
    person = shape(
        type="object", properties={"name": {"type": "string"}, "age": {"type": "integer"}}, required=["name"]
    )
    people = shape(type="array", items=person.model_dump())
    assert people.read([{"age": 7, "name": "Ann", "shoe": 39}, {"name": "Bob"}]) == [
        {"name": "Ann", "age": 7},
        {"name": "Bob"},
    ]
    with pytest.raises(ValueError, match="'name' is missing"):
        people.read([{"age": 7}])


def test_bounds_are_for_who_writes() -> None:
    assert shape(type="integer", minimum=1, maximum=10).read(11) == 11
    assert shape(type="string", maxLength=1).read("long") == "long"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"type": "object"}, "has `properties`"),
        ({"type": "string", "properties": {"a": {"type": "string"}}}, "has `properties`"),
        ({"type": "array"}, "has `items`"),
        ({"type": "integer", "enum": ["1"]}, "is for strings"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no value lies between 2 and 1"),
        ({"type": "string", "minLength": 2, "maxLength": 1}, "no value lies between 2 and 1"),
        ({"type": "string", "pattern": "x"}, "Extra inputs"),
    ],
)
def test_a_shape_that_means_nothing_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        shape(**fields)
