"""How long an answer may become: a server that never ends one must not fill our memory until its deadline."""

from common.errors import BadUpstream
from common.providers.protocol import Delta

# A call may ask for 131,072 tokens, of which this is some eight times as much.
MAX_ANSWER_CHARACTERS = 4 * 1024 * 1024
# What a piece of a tool call takes beside its words.
PIECE_CHARACTERS = 32


class Length:
    """That of one answer, by its pieces."""

    def __init__(self) -> None:
        self._characters = 0

    def add(self, delta: Delta) -> None:
        """Count a piece.

        Raises:
            BadUpstream: with it the answer is longer than MAX_ANSWER_CHARACTERS.
        """
        characters = len(delta.text) + len(delta.thoughts)
        for piece in delta.tool_calls:
            characters += PIECE_CHARACTERS + len(piece.id or "") + len(piece.name or "") + len(piece.arguments)
        self.count(characters)

    def count(self, characters: int) -> None:
        """Count so many, of which the answer has got longer.

        Raises:
            BadUpstream: with them it is longer than MAX_ANSWER_CHARACTERS.
        """
        self._characters += characters
        if self._characters > MAX_ANSWER_CHARACTERS:
            raise BadUpstream(f"The model answered with more than {MAX_ANSWER_CHARACTERS} characters.")
