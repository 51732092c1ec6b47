"""A document that obeys a JSON Schema, drawn from a digest.

Knows what pydantic writes for models: object, array, string, number, integer, boolean, null, enum, const,
anyOf, oneOf, $ref into $defs, and the bounds of each. Not: patterns, formats, uniqueItems, conditionals.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

Schema = Mapping[str, Any]

WORDS = ("light", "water", "stone", "river", "signal", "answer", "method", "reason")
USUAL_ITEMS = 3
USUAL_WORDS = 4
USUAL_RANGE = 10
# Deeper than this a schema that refers to itself is given the shortest way out.
MAX_DEPTH = 6
# What is asked for beyond these is asked for to do harm: it is drawn while everybody else waits.
MAX_VALUES = 5_000
MAX_REFERENCES = 100
MAX_CHARACTERS = 10_000
# Strings this short are labels, not words: items of a list are labelled A, B, C.
LABEL_CHARACTERS = 2


def document(schema: Schema, digest: bytes) -> str:
    """The JSON text of a document valid against the schema; equal digests give equal documents.

    Raises:
        ValueError: it is no schema of those that we know, or asks for too much.
    """
    try:
        drawing = _Drawing(schema.get("$defs", {}), digest)
        return orjson.dumps(drawing.value(schema, depth=0)).decode()
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"nothing can be drawn from this schema: {error}") from error


class _Drawing:
    """One walk down a schema."""

    def __init__(self, definitions: Mapping[str, Schema], digest: bytes) -> None:
        self._definitions = definitions
        self._digest = digest
        self._drawn = self._values = 0
        self._index = 0  # of the list item being drawn
        self._by_type: dict[str, Callable[[Schema, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": self._boolean,
        }

    def value(self, schema: Schema, depth: int) -> Any:
        """A value that the schema allows. An empty schema allows null."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise ValueError(f"it asks for more than {MAX_VALUES} values")
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][self._draw(len(schema["enum"]))]
        draw = self._by_type.get(schema.get("type", "null"))
        return draw(schema, depth) if draw else None

    def _resolved(self, schema: Schema, depth: int) -> Schema:
        """The schema at the end of its references and choices.

        Of a choice the first that is not null; too deep down, null where it is offered.
        """
        for _ in range(MAX_REFERENCES):
            choices = schema.get("anyOf") or schema.get("oneOf")
            if choices:
                is_deep = depth >= MAX_DEPTH
                schema = min(choices, key=lambda choice: (choice.get("type") == "null") is not is_deep)
            elif "$ref" in schema:
                schema = self._definitions[schema["$ref"].rpartition("/")[2]]
            else:
                return schema
        raise ValueError(f"it refers on and on, more than {MAX_REFERENCES} times")

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        return {
            name: self.value(property_, depth + 1)
            for name, property_ in schema.get("properties", {}).items()
            if name in required or depth < MAX_DEPTH
        }

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        fewest = schema.get("minItems", 0)
        usual = max(fewest, USUAL_ITEMS) if depth < MAX_DEPTH else fewest
        leading = schema.get("prefixItems", [])
        around, items = self._index, []
        for self._index in range(min(usual, schema.get("maxItems", usual))):
            item = leading[self._index] if self._index < len(leading) else schema.get("items", {})
            items.append(self.value(item, depth + 1))
        self._index = around
        return items

    def _string(self, schema: Schema, _depth: int) -> str:
        longest = schema.get("maxLength", math.inf)
        if longest <= LABEL_CHARACTERS:
            text = chr(ord("A") + self._index % 26)
        else:
            text = " ".join(WORDS[self._draw(len(WORDS))] for _ in range(USUAL_WORDS))
        shortest = schema.get("minLength", 0)
        if shortest > MAX_CHARACTERS:
            raise ValueError(f"it asks for more than {MAX_CHARACTERS} characters")
        text = text.ljust(shortest, "~")
        return text if len(text) <= longest else text[: int(longest)]

    def _integer(self, schema: Schema, _depth: int) -> int:
        low, high = _bounds(schema, margin=1)
        step = schema.get("multipleOf", 1)
        first, last = math.ceil(low / step), math.floor(high / step)
        return int((first + self._draw(max(1, last - first + 1))) * step)

    def _number(self, schema: Schema, _depth: int) -> float:
        """Strictly between the bounds, so that exclusive ones hold too."""
        low, high = _bounds(schema, margin=0)
        return float(low + (high - low) * (1 + self._draw(99)) / 100)

    def _boolean(self, _schema: Schema, _depth: int) -> bool:
        return self._draw(2) == 1

    def _draw(self, count: int) -> int:
        """A number below `count`; the next one each time."""
        self._drawn += 1
        draw = hashlib.sha256(self._digest + self._drawn.to_bytes(4)).digest()
        return int.from_bytes(draw[:8]) % count


def _bounds(schema: Schema, margin: int) -> tuple[float, float]:
    """Lowest and highest; exclusive bounds are moved inwards by `margin`, missing ones lie within reach."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf) + margin)
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf) - margin)
    if low == -math.inf:
        low = min(0, high - USUAL_RANGE)
    if high == math.inf:
        high = max(USUAL_RANGE, low + USUAL_RANGE)
    return low, high
