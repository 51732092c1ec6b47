"""A document that obeys a JSON Schema: what a mock answers when it is held to one.

Knows the part of JSON Schema that pydantic writes for our shapes: objects, arrays, strings, numbers,
booleans, enums, `$ref`, and their bounds.
"""

from typing import Any

Schema = dict[str, Any]


def example_of(schema: Schema, seed: int) -> Any:
    """An example; the same seed gives the same one."""
    return _example(schema, schema.get("$defs", {}), seed, "text")


def _example(schema: Schema, definitions: dict[str, Schema], seed: int, name: str) -> Any:
    if "$ref" in schema:
        return _example(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions, seed, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][seed % len(schema["enum"])]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], definitions, seed, name)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {key: _example(part, definitions, seed + n, key) for n, (key, part) in enumerate(properties.items())}
        case "array":
            length = min(max(1, schema.get("minItems", 0)), schema.get("maxItems", 1))
            return [_example(schema.get("items", {}), definitions, seed + n, name) for n in range(length)]
        case "integer":
            return _number(schema, seed, whole=True)
        case "number":
            return _number(schema, seed, whole=False)
        case "boolean":
            return seed % 2 == 0
        case "null":
            return None
        case _:
            return _string(schema, name)


def _number(schema: Schema, seed: int, *, whole: bool) -> float:
    low = schema.get("minimum", 0)
    high = schema.get("maximum", low + 10)
    value = low + (high - low) * (seed % 11) / 10
    return int(value) if whole else value


def _string(schema: Schema, name: str) -> str:
    longest = schema.get("maxLength", 80)
    # Short fields hold labels: a letter is what ours ask for.
    text = f"mock {name}" if longest >= len(name) + 5 else "A"
    return text.ljust(schema.get("minLength", 0), ".")[:longest]
