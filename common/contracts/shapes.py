"""The part of JSON Schema that a document of a pattern may be described by: what every server can be held to."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, model_validator

Kind = Literal["object", "array", "string", "integer", "number", "boolean"]
PropertyName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Count = Annotated[int, Field(ge=0, le=100_000)]
# Past it a float is no whole number any more, and NaN is neither above nor below.
MAX_NUMBER = 1e15


def _whole_where_it_can_be(value: float) -> float:
    return int(value) if value.is_integer() else value  # an integer bounded by 1.0 puzzles some servers


Bound = Annotated[
    float,
    Field(ge=-MAX_NUMBER, le=MAX_NUMBER, allow_inf_nan=False),
    PlainSerializer(_whole_where_it_can_be, return_type=Any),
]

_PYTHON_TYPES: dict[Kind, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class Shape(BaseModel):
    """A schema and those inside it. Its bounds are for the server that writes; a reader checks names and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    type: Kind
    title: str | None = Field(None, max_length=200)
    description: str | None = Field(None, max_length=2000)
    properties: dict[PropertyName, "Shape"] | None = Field(None, min_length=1, max_length=100)
    required: tuple[str, ...] | None = None
    additional_properties: bool | None = Field(None, alias="additionalProperties")
    items: "Shape | None" = None
    enum: tuple[str, ...] | None = Field(None, min_length=1, max_length=100, description="Of strings.")
    minimum: Bound | None = None
    maximum: Bound | None = None
    min_length: Count | None = Field(None, alias="minLength")
    max_length: Count | None = Field(None, alias="maxLength")
    min_items: Count | None = Field(None, alias="minItems")
    max_items: Count | None = Field(None, alias="maxItems")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.type == "object") != (self.properties is not None):
            raise ValueError("an object has `properties`, and nothing else has")
        if (self.type == "array") != (self.items is not None):
            raise ValueError("an array has `items`, and nothing else has")
        if self.enum is not None and self.type != "string":
            raise ValueError("`enum` is for strings")
        for name in self.required or ():
            if name not in (self.properties or {}):
                raise ValueError(f"`required` names {name!r}, which is none of the `properties`")
        for low, high in (
            (self.minimum, self.maximum),
            (self.min_length, self.max_length),
            (self.min_items, self.max_items),
        ):
            if low is not None and high is not None and low > high:
                raise ValueError(f"no value lies between {low:g} and {high:g}")
        return self

    def schema_document(self) -> dict[str, Any]:
        """The JSON Schema, its properties in the order they were given: a model fills them in in that order."""
        return self.model_dump(mode="json", exclude_none=True)

    def read(self, value: Any) -> Any:
        """What this describes of a value; what the value says beyond it is left out.

        Raises:
            ValueError: a name is missing or a type is another. Bounds are not looked at.
        """
        if not self._is_of_type(value) or (self.enum is not None and value not in self.enum):
            raise ValueError(f"no {self.type}: {str(value)[:100]!r}")
        if self.type == "array" and self.items is not None:
            return [self.items.read(item) for item in value]
        if self.type != "object":
            return value
        for name in self.required or ():
            if name not in value:
                raise ValueError(f"{name!r} is missing")
        return {name: shape.read(value[name]) for name, shape in (self.properties or {}).items() if name in value}

    def _is_of_type(self, value: Any) -> bool:
        if isinstance(value, bool):  # which Python counts among the integers
            return self.type == "boolean"
        if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            return False
        return isinstance(value, _PYTHON_TYPES[self.type])
