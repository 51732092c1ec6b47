"""Reading a body, and fields of it, whose shape nobody has checked yet."""

from typing import Any

import orjson

from common.errors import BadRequest, InvalidInput

Json = dict[str, Any]

# As deep as orjson writes, less the levels that we put around what a client sends.
MAX_DEPTH = 254
OURS = 8


def json_object(raw: bytes) -> Json:
    """The object in these bytes, which can be written again.

    Raises:
        BadRequest: no JSON, no object, or one that is nested too deeply.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is no JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    if not isinstance(body, dict):
        raise BadRequest("The body is no JSON object.")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH - OURS:  # most bodies cannot be too deep
        _refuse_depth(body)
    return body


def an_object(value: Any, field: str) -> Json:
    """The value, if it is a JSON object.

    Raises:
        InvalidInput: with the field's name.
    """
    if not isinstance(value, dict):
        raise InvalidInput("must be an object", field=field)
    return value


def a_list(value: Any, field: str) -> list[Any]:
    """The value, if it is a JSON array.

    Raises:
        InvalidInput: with the field's name.
    """
    if not isinstance(value, list):
        raise InvalidInput("must be a list", field=field)
    return value


def _refuse_depth(body: Json) -> None:
    around: Any = body
    for _ in range(OURS):
        around = [around]
    try:
        orjson.dumps(around)
    except orjson.JSONEncodeError:
        raise BadRequest(f"The body is nested more than {MAX_DEPTH - OURS} levels deep.") from None
