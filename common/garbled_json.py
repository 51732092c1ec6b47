"""JSON as models write it: in a code fence, between other words, with slips, or not finished yet."""

import json
from typing import Any

from json_repair.json_parser import JSONParser

# What a model writes that meant to write a document takes 1 to 3 looks a character to repair. On brackets and quotes
# without sense the repairer looks ahead to the end from each of them, for minutes; this many take it a second.
LOOKS_A_SECOND = 500_000


class _Hopeless(Exception):
    """More looks than a document would take."""


class _Repairer(JSONParser):
    """json_repair's parser, which gives up: whoever asked stands still meanwhile."""

    _looks_left = 0

    def __init__(self, text: str, looks: int) -> None:
        self._looks_left = looks
        super().__init__(text, None, logging=False, try_valid_json_suffix=True)

    @property  # every look at a character goes through here
    def json_str(self) -> Any:
        self._looks_left -= 1
        if self._looks_left < 0:
            raise _Hopeless
        return self._text

    @json_str.setter
    def json_str(self, text: Any) -> None:
        self._text = text


def read(text: str, looks: int = LOOKS_A_SECOND) -> Any:
    """What the text says as JSON, repaired where it needs to be; several pieces are a list.

    None for what cannot be repaired within so many `looks`: endless brackets, a text without sense.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # not clean JSON: repair it below
    try:
        return _Repairer(text, looks).parse()
    except (ValueError, RecursionError, _Hopeless):
        return None
