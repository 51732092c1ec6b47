"""JSON as model servers write it: fast where it is JSON, lenient where a server cut a character in half.

Servers that count in UTF-16 (those written in JavaScript) send the two halves of an emoji in two chunks, each as
an escape of its own. orjson takes neither half; a client that joins the chunks' texts gets the whole of it.
"""

import json
from typing import Any

import orjson


def loads(data: bytes) -> Any:
    """The value.

    Raises:
        ValueError: it is no JSON, no UTF-8, or nested without end.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def dumps(value: Any) -> bytes:
    """The value in JSON; half a character as the escape that it was."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
