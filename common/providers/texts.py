"""Texts from outside, made fit to be stored and sent."""

import re

# Postgres stores no NUL, and UTF-8 no lone surrogate; models and broken servers produce both.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with what cannot be stored replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)
