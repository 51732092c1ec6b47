"""Templates of prompts: `{name}` is a placeholder, `{{` and `}}` are braces."""

import re
from collections.abc import Callable
from typing import Literal, get_args

Placeholder = Literal["prompt", "answers", "own_answer", "other_answers", "previous"]
PLACEHOLDERS: tuple[Placeholder, ...] = get_args(Placeholder)
# Each may stand for thirty answers; a template that says them a thousand times would be gigabytes.
MAX_PLACEHOLDERS = 20

# Doubled braces come first, so `{{{prompt}}}` is the prompt in braces.
_BRACES = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")
_LITERALS = {"{{": "{", "}}": "}"}


def placeholders(template: str) -> list[str]:
    """The names of the placeholders, in order.

    Raises:
        ValueError: one is unknown, a brace stands alone, or there are too many.
    """
    found = []
    for brace in _BRACES.finditer(template):
        if brace[0] in _LITERALS:
            continue
        name = brace["name"]
        if name is None:
            raise ValueError(f"a lone {brace[0]} stands after {template[: brace.start()][-20:]!r}: double it")
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            raise ValueError(f"{{{name[:50]}}} is no placeholder; there are {known}; a brace itself is doubled")
        found.append(name)
    if len(found) > MAX_PLACEHOLDERS:
        raise ValueError(f"more than {MAX_PLACEHOLDERS} placeholders")
    return found


def fill(template: str, value_of: Callable[[str], str]) -> str:
    """The template with its placeholders' values, in one pass: braces in a value are text like any other."""
    return _BRACES.sub(lambda brace: _LITERALS.get(brace[0]) or value_of(brace["name"]), template)
