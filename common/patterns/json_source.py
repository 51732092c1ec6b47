"""A JSON file and the line of everything in it."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from common.catalog.source import Place, Source, fault_at
from common.errors import ConfigError

MAX_BYTES = 1_048_576
# Deeper than any pattern, and shallower than what a recursive reader survives.
MAX_DEPTH = 32

# Of a text that is JSON already: its strings, its punctuation, and numbers and words.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class _NoJson(ValueError):
    """What Python's reader lets pass and JSON does not."""


def read_json(path: Path) -> Source:
    """Read a file of one JSON document.

    Raises:
        ConfigError: it cannot be read, is too large or too deep, is no JSON, says a key twice, or holds
            characters that no database stores.
    """
    text = _read(path)
    try:
        data = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise fault_at(path, error.lineno, (), f"{error.msg[:1].lower()}{error.msg[1:]}") from None
    except _NoJson as error:
        raise ConfigError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return Source(path, data, dict(_walk(text, path)))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")  # Windows' editors begin with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: longer than {MAX_BYTES} bytes")
    return text


def _refuse(constant: str) -> NoReturn:
    raise _NoJson(f"{constant} is no number of JSON")


@dataclass(slots=True)
class _Open:
    """An object or an array whose end has not come yet."""

    at: str | int  # the key or the index of what is being read
    first_lines: dict[str, int] | None = None  # of an object's keys
    is_key_next: bool = False


def _walk(text: str, path: Path) -> Iterator[tuple[Place, int]]:
    """Every key and every item, and its line. The text is valid, so a piece says by its place what it is."""
    open_: list[_Open] = []
    for piece, line in _pieces(text):
        if piece == ":":
            continue
        if piece in {"}", "]"}:
            open_.pop()
            continue
        around = open_[-1] if open_ else None
        if piece == ",":
            assert around is not None, "JSON has commas inside brackets only"
            _go_on(around)
            continue
        string = _storable(piece, path, line) if piece[0] == '"' else ""
        if around is not None and around.is_key_next:
            around.at, around.is_key_next = string, False
            yield _place(open_), line
            _note_key(open_, line, path)
            continue
        if around is not None and around.first_lines is None:
            yield _place(open_), line
        if piece in {"{", "["}:
            open_.append(_Open("", {}, is_key_next=True) if piece == "{" else _Open(0))
            if len(open_) > MAX_DEPTH:
                raise fault_at(path, line, (), f"more than {MAX_DEPTH} brackets inside each other")


def _go_on(around: _Open) -> None:
    if isinstance(around.at, int):
        around.at += 1
    else:
        around.is_key_next = True


def _note_key(open_: Sequence[_Open], line: int, path: Path) -> None:
    around = open_[-1]
    assert around.first_lines is not None, "only objects have keys"
    name = str(around.at)
    if name in around.first_lines:
        raise fault_at(path, line, _place(open_), f"said before, in line {around.first_lines[name]}")
    around.first_lines[name] = line


def _place(open_: Sequence[_Open]) -> Place:
    return tuple(one.at for one in open_)


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    line, at = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        yield found[0], line


def _storable(piece: str, path: Path, line: int) -> str:
    """A string's text."""
    string: str = json.loads(piece)
    if "\x00" in string or any("\ud800" <= character <= "\udfff" for character in string):
        raise fault_at(path, line, (), f"{piece[:50]}: holds NUL or half a character, which no database stores")
    return string
