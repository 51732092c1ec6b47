"""Text that Postgres can store and UTF-8 can carry."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def storable(text: str) -> str:
    """The text with U+FFFD for every NUL and every lone surrogate; pairs of surrogates become one character.

    Postgres takes neither in `text` or `jsonb`; JSON can spell both, and models do.
    """
    if not text.isascii():  # most pieces are, and pass at the speed of memory
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", REPLACEMENT)


class StorableStream:
    """The same for a text in pieces, where a pair of surrogates may lie across two of them.

    Servers that count in UTF-16 (those written in JavaScript) cut an emoji in half between two chunks.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The storable text so far unsaid; half a pair at the end waits for its other half."""
        text = self._held + piece
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return storable(text)

    def end(self) -> str:
        """What a half that never got its other half comes to."""
        held, self._held = self._held, ""
        return storable(held)
