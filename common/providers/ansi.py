"""Terminal escape sequences (ECMA-48), taken out of text that came through a pipe all the same."""

import re

# Control sequences, commands to the terminal (titles, links), and the short ones of two characters.
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])")
# One that has begun and may go on in the next piece.
BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)\Z")
# None is that long: what goes on for longer was a stray escape character.
LONGEST = 512


def without_escapes(text: str) -> str:
    """The text without escape sequences; a lone escape character goes too."""
    return SEQUENCE.sub("", text).replace("\x1b", "")


class EscapeFilter:
    """The same for a text in pieces, where a sequence may lie across two of them."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text so far unsaid; a sequence that has begun waits for its end."""
        text = self._held + piece
        begun = BEGUN.search(text)
        place = begun.start() if begun and len(text) - begun.start() <= LONGEST else len(text)
        self._held = text[place:]
        return without_escapes(text[:place])

    def end(self) -> str:
        """What a sequence that never ended leaves to be said."""
        held, self._held = self._held, ""
        return without_escapes(held)
