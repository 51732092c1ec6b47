"""From tokens to text that may be shown."""

from collections.abc import Callable, Sequence

# What a tokenizer writes for bytes that are no whole character yet.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class Spelling:
    """Tokens in, text out, each character once and whole.

    A token alone cannot be spelled: its spaces and bytes depend on its neighbours. So a window of tokens is
    spelled twice, without and with the newest, and what the newest adds is the difference.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._begin = 0
        self._shown = 0

    def add(self, token: int) -> str:
        """What this token adds; nothing while a character is incomplete."""
        self._tokens.append(token)
        added = self._added()
        return "" if added.endswith(INCOMPLETE) else self._show(added)

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        return self._show(self._added())

    def _added(self) -> str:
        before = self._decode(self._tokens[self._begin : self._shown])
        return self._decode(self._tokens[self._begin :])[len(before) :]

    def _show(self, added: str) -> str:
        self._begin, self._shown = self._shown, len(self._tokens)
        return added


class Cutting:
    """Ends a text before the first of some stops, and shows nothing that may turn out to belong to one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.has_met_stop = False

    def add(self, text: str) -> str:
        """What may be shown of all that was added and not yet shown."""
        if self.has_met_stop:
            return ""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.has_met_stop = True
            return self._held[: min(found)]
        return self._take(len(self._held) - max((self._overlap(stop) for stop in self._stops), default=0))

    def rest(self) -> str:
        """What was held back and met no stop."""
        return "" if self.has_met_stop else self._take(len(self._held))

    def _overlap(self, stop: str) -> int:
        """How many characters at the end of the held text begin this stop."""
        longest = min(len(stop) - 1, len(self._held))
        return next((size for size in range(longest, 0, -1) if self._held.endswith(stop[:size])), 0)

    def _take(self, size: int) -> str:
        taken, self._held = self._held[:size], self._held[size:]
        return taken
