"""A file of data and where in it everything stands, so that a complaint can name the line. YAML is read here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from common.errors import ConfigError

Place = tuple[str | int, ...]

# Of a key that is a novel, so much is shown.
MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Source:
    """Plain data, and the line (from 1) of every key and item in it."""

    path: Path
    data: Any
    lines: Mapping[Place, int]

    def fault(self, place: Place, problem: str) -> ConfigError:
        """An error that names the file, the line and the field: `FILE:LINE: FIELD: PROBLEM`."""
        return fault_at(self.path, self.line_of(place), place, problem)

    def first_fault(self, place: Place, error: ValidationError) -> ConfigError:
        """Pydantic's first complaint about what stands at a place. One at a time: the next run names the next."""
        found = error.errors(include_url=False, include_input=False)[0]
        below = [part for part in found["loc"] if part != "[key]"]
        return self.fault((*place, *below), _plainly(found["type"], found["msg"]))

    def line_of(self, place: Place) -> int:
        """The line of a place, or of the nearest one around it: a missing field has no line of its own."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def fault_at(path: Path, line: int, place: Place, problem: str) -> ConfigError:
    """The error of a file's place. It is one line, whatever the file calls things."""
    said = f"{'.'.join(str(part)[:MAX_NAME_CHARACTERS] for part in place)}: {problem}" if place else problem
    return ConfigError(f"{path}:{line}: {''.join(one if one.isprintable() else repr(one)[1:-1] for one in said)}")


def read_yaml(path: Path) -> Source:
    """Read a file of one YAML document.

    Raises:
        ConfigError: it cannot be read, is no YAML, or says a key twice.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        node = loader.get_single_node()
        lines = dict(_walk(node, (), path)) if node else {}
        return Source(path, loader.construct_document(node) if node else None, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: {error.problem}") from error
    except (ValueError, RecursionError) as error:  # 2026-13-45 is no date; and nobody nests so deep
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, place: Place, path: Path) -> Iterator[tuple[Place, int]]:
    """Every place below a node and its line. The file is the operator's own: it may nest as it likes."""
    if isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, str(key.value)
            if name in first_lines:
                raise fault_at(path, line, (*place, name), f"said before, in line {first_lines[name]}")
            first_lines[name] = line
            yield (*place, name), line
            yield from _walk(value, (*place, name), path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*place, index), item.start_mark.line + 1
            yield from _walk(item, (*place, index), path)


def _plainly(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such field"
    message = message.removeprefix("Value error, ")
    return message if message[:3].isupper() else message[:1].lower() + message[1:]
