"""Structured answers from models that may not manage them: parse, repair, or say that it failed."""

from typing import TypeVar

import json_repair
from pydantic import BaseModel, ValidationError

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
    repaired = json_repair.loads(text)
    # Before and after the document a model may have talked; the repair then returns a list of pieces.
    candidates = [repaired, *repaired] if isinstance(repaired, list) else [repaired]
    for candidate in candidates:
        try:
            return shape.model_validate(candidate)
        except ValidationError:
            continue
    return None
