"""One answer in the making: a row of the batch."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from runner.contracts import Piece, Usage
from runner.engines.pretrained.text import Cutting, Spelling
from runner.faults import EngineBroken, Refused

NO_TOKEN = -1
"""In a token's place: the model's numbers overflowed."""


@dataclass(frozen=True, slots=True)
class Choosing:
    """How the next token is chosen. Temperature 0 takes the likeliest."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


class Row:
    """Takes tokens, gives pieces, and knows when it is over. `give` is called in the thread that computes."""

    def __init__(
        self,
        prompt: Sequence[int],
        most_tokens: int,
        choosing: Choosing,
        *,
        ends: Collection[int],
        stops: Sequence[str],
        decode: Callable[[Sequence[int]], str],
        give: Callable[[Piece | Refused], None],
    ) -> None:
        self.prompt = prompt
        self.choosing = choosing
        self._most_tokens = most_tokens
        self._ends = ends
        self._spelling = Spelling(decode)
        self._cutting = Cutting(stops)
        self._give = give
        self._tokens = 0
        self.is_over = False

    def take(self, token: int) -> None:
        """The next token of the answer."""
        if token == NO_TOKEN:
            self.fail(EngineBroken("The model computed no numbers, as happens when its dtype is too narrow."))
            return
        self._tokens += 1
        if token in self._ends:
            self._finish("stop", self._cutting.add(self._spelling.rest()))
            return
        text = self._cutting.add(self._spelling.add(token))
        if self._cutting.has_met_stop:
            self._finish("stop", text)
        elif self._tokens >= self._most_tokens:
            self._finish("length", text + self._cutting.add(self._spelling.rest()))
        elif text:
            self._give(Piece({"content": text}))

    def fail(self, fault: Refused) -> None:
        """It cannot be answered to its end."""
        if not self.is_over:
            self.is_over = True
            self._give(fault)

    def leave(self) -> None:
        """Nobody waits for it any more. May be called from another thread."""
        self.is_over = True

    def _finish(self, reason: str, text: str) -> None:
        text += self._cutting.rest()
        self.is_over = True
        self._give(Piece({"content": text} if text else {}, finish_reason=reason))
        self._give(Piece(usage=Usage(len(self.prompt), self._tokens)))
