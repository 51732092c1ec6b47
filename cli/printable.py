"""What a model, a container or a server says is untrusted: it must not steer the terminal that shows it."""

# Everything below space but tab and newline, delete, and the C1 controls: escape sequences begin there.
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


def printable(text: str) -> str:
    """The text without control characters; lines and tabs stay."""
    return text.translate(_CONTROLS)
