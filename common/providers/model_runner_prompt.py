"""A conversation as the one prompt that `docker model run` takes."""

import re
from collections.abc import Sequence

from common.contracts.messages import Message
from common.errors import ContextTooLong, Unsupported, UpstreamRejected
from common.storable import storable

# Longer than any local model reads, and no burden on a machine.
MAX_PROMPT_BYTES = 4 * 1024 * 1024

LABELS = {"system": "System", "user": "User", "assistant": "Assistant"}

# Shows nothing, is part of no file's name, and breaks a pattern where it stands.
JOINER = "\N{WORD JOINER}"

# The command puts the file in place of `@PATH`, and sends along the image whose path a prompt mentions: any
# file of this machine that we may read. It runs in an empty directory, where only these lead anywhere:
# `@` before a path that begins at the root, climbs up, or has a drive, quoted or not …
FILE_REFERENCE = re.compile(r"""@(?=["']?(?:[./\\~]|[A-Za-z]:[/\\]))""")
# … and a path that ends like an image, on a line where something separates directories. Spaces may lie in
# between, so the line is all that can be asked; and no word boundary, which Go sees elsewhere than Python.
IMAGE_ENDING = re.compile(r"\.(?=jpe?g|png|webp)", re.IGNORECASE)


def prompt_of(messages: Sequence[Message]) -> bytes:
    """The conversation as UTF-8, in which nothing names a file to the command.

    Raises:
        Unsupported: a turn calls a tool or answers one.
        ContextTooLong: it is longer than MAX_PROMPT_BYTES.
        UpstreamRejected: there is nothing in it, at which the command would wait for somebody to type.
    """
    prompt = without_file_references(storable(flattened(messages))).encode()
    if len(prompt) > MAX_PROMPT_BYTES:
        raise ContextTooLong(f"The prompt has {len(prompt):,} bytes; `docker model run` is told {MAX_PROMPT_BYTES:,}.")
    if not prompt.strip():
        raise UpstreamRejected("`docker model run` takes no empty prompt.")
    return prompt


def flattened(messages: Sequence[Message]) -> str:
    """One text. A question alone stays as it is; else each turn is labelled, and the last label asks for an answer.

    Raises:
        Unsupported: a turn calls a tool or answers one.
    """
    if any(message.role == "tool" or message.tool_calls for message in messages):
        raise Unsupported("docker_modelrunner does not support tools: `docker model run` takes one text.")
    if [message.role for message in messages] == ["user"]:
        return messages[0].text
    turns = [f"{LABELS[message.role]}: {message.text}" for message in messages]
    return "\n\n".join([*turns, "Assistant:"]) if turns else ""


def without_file_references(prompt: str) -> str:
    """The prompt with a word joiner wherever the command would read a file of this machine."""
    lines = FILE_REFERENCE.sub(f"@{JOINER}", prompt).split("\n")
    return "\n".join(IMAGE_ENDING.sub(f".{JOINER}", line) if "/" in line or "\\" in line else line for line in lines)
