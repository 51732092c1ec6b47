"""Structured answers from models that may not manage them: parse, repair, or say that it failed."""

import json
from typing import Any, TypeVar

from json_repair.json_parser import JSONParser
from pydantic import BaseModel, ValidationError

from common.contracts.shapes import Shape

# What a model writes that meant to write a document takes 1 to 3 looks a character to repair. On brackets and quotes
# without sense the repairer looks ahead to the end from each of them, for minutes; this many take it a second.
MAX_LOOKS = 500_000

Document = TypeVar("Document", bound=BaseModel)


class _Hopeless(Exception):
    """More looks than a document would take."""


class _Repairer(JSONParser):
    """json_repair's parser, which gives up: a worker's loop stands still meanwhile."""

    _looks = 0

    @property  # every look at a character goes through here
    def json_str(self) -> Any:
        self._looks += 1
        if self._looks > MAX_LOOKS:
            raise _Hopeless
        return self._text

    @json_str.setter
    def json_str(self, text: Any) -> None:
        self._text = text


def parse(text: str, shape: type[Document]) -> Document | None:
    """The document in `text`, or None if there is none of that shape; nothing is ever made up.

    Understands JSON in a code fence or between other words, and repairs what small models get wrong:
    missing brackets, single quotes, trailing commas.
    """
    try:
        return shape.model_validate_json(text)
    except ValidationError:
        pass  # not clean JSON of that shape: repair it below
    for candidate in _candidates(text):
        try:
            return shape.model_validate(candidate)
        except ValidationError:
            continue
    return None


def read(text: str, shape: Shape) -> Any | None:
    """The same for a shape that is not known before it is read: plain data, and None if there is none."""
    for candidate in _candidates(text):
        try:
            return shape.read(candidate)
        except ValueError:
            continue
    return None


def _candidates(text: str) -> list[Any]:
    """What may be the document: a whole text, or the pieces between which a model has talked."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = _repaired(text)
    return [said, *said] if isinstance(said, list) else [said]


def _repaired(text: str) -> Any:
    """None for what cannot be repaired: endless brackets, a text without sense."""
    try:
        return _Repairer(text, None, logging=False, try_valid_json_suffix=True).parse()
    except (ValueError, RecursionError, _Hopeless):
        return None
