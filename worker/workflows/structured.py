"""Structured answers from models that may not manage them: parse, repair, or say that it failed."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from common import garbled_json
from common.contracts.shapes import Shape

Document = TypeVar("Document", bound=BaseModel)


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
    said = garbled_json.read(text)
    return [said, *said] if isinstance(said, list) else [said]
