"""Reading a field of a request whose shape nobody has checked yet."""

from typing import Any

from common.errors import InvalidInput

Json = dict[str, Any]


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
