"""From tokens to text that may be shown."""

from collections.abc import Callable, Sequence

# What a tokenizer writes for bytes that are no whole character yet.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
# The bytes of the longest character, and so the most tokens that one can be spread over.
MOST_BYTES = 4
# Of bytes that will never be text, this many tokens are looked at again each time.
LONGEST_WINDOW = 64


class Spelling:
    """Tokens in, text out, each character once and whole.

    A token alone cannot be spelled: its spaces and bytes depend on its neighbours. So a window of tokens is
    spelled anew with each, and what is longer than before is new.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._shown = 0
        """Characters of the window's text."""
        self._held = 0
        """Tokens of the window since the last whole character."""

    def add(self, token: int) -> str:
        """What this token adds; nothing while a character is incomplete."""
        self._window.append(token)
        self._held += 1
        text = self._decode(self._window)
        if not text.endswith(INCOMPLETE):
            return self._show(text, until=len(text), keep=self._held)
        if self._held < MOST_BYTES:
            return ""
        # All but the end is certain by now, whole or not.
        incomplete = min(len(text) - len(text.rstrip(INCOMPLETE)), MOST_BYTES - 1)
        return self._show(text, until=len(text) - incomplete, keep=LONGEST_WINDOW, unshown=incomplete)

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        return self._decode(self._window)[self._shown :]

    def _show(self, text: str, *, until: int, keep: int, unshown: int = 0) -> str:
        added = text[self._shown : until]
        self._window = self._window[-keep:]
        self._shown = len(self._decode(self._window)) - unshown
        if not unshown:
            self._held = 0
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
