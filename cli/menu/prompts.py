"""A prompt as it is typed: `@path` stands for a file's text, `@@` for a text that begins with @."""

from pathlib import Path

# What the longest prompt of the contract may take in UTF-8; the rest of a larger file is not read.
MAX_BYTES = 4 * 500_000


class PromptUnreadable(ValueError):
    """The file cannot be a prompt."""


def prompt_of(typed: str) -> str:
    """The text that was meant.

    Raises:
        PromptUnreadable: the file is not there, is none, is too large or holds no UTF-8; says which.
    """
    if typed.startswith("@@"):
        return typed[1:]
    if not typed.startswith("@"):
        return typed
    path = Path(typed[1:].strip()).expanduser()
    try:
        if not path.is_file():
            raise PromptUnreadable(f"{path} is not a file; a prompt that begins with @ begins with @@ here")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PromptUnreadable(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise PromptUnreadable(f"{path} is over {MAX_BYTES:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise PromptUnreadable(f"{path} is not UTF-8 text") from error


def escaped(prompt: str) -> str:
    """What to type for this prompt."""
    return f"@{prompt}" if prompt.startswith("@") else prompt
