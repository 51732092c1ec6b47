"""Standard output and standard error, and what they can show."""

import sys
from typing import Any, TextIO

import orjson
from rich.console import Console

# A pipe has no width; tables wrap here, and other text is never cut.
PIPE_CHARACTERS = 110
# JSON may hold these as they are, and a terminal obeys some: whatever a model said, they are shown and not obeyed.
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def output() -> Console:
    """Standard output. Colours where it is a terminal and NO_COLOR is not set; any character, anywhere."""
    return _console(sys.stdout)


def diagnostics() -> Console:
    """Standard error, the same way."""
    return _console(sys.stderr)


def print_json(document: Any) -> None:
    """One JSON document on standard output, indented."""
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode().translate(_CONTROLS) + "\n")


def _console(stream: TextIO) -> Console:
    # An ASCII terminal gets question marks for what it cannot show, rather than us a traceback.
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    width = None if stream.isatty() else PIPE_CHARACTERS
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
