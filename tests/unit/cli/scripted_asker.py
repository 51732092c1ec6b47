"""An asker whose answers were written down before: for tests of what is asked and where it leads."""

from collections.abc import Sequence
from typing import Any

from cli.menu.asker import Back, Fault, Leave, Offer, Value

Reply = Any


class ScriptedAsker:
    """Gives its replies in order, and leaves when they are used up.

    A reply is what is chosen: the beginning of an offer's title, a list of those, a text, a boolean; or
    `Back()` or `Leave()`. What is not offered, or has a fault, cannot be chosen.
    """

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.asked: list[str] = []
        self.offers: dict[str, list[Offer[Any]]] = {}
        """The last offers of each question."""
        self.defaults: dict[str, str] = {}

    def select(self, message: str, offers: Sequence[Offer[Value]]) -> Value:
        self.offers[message] = list(offers)
        return self._offer(self._reply(message), offers).value

    def check(self, message: str, offers: Sequence[Offer[Value]]) -> list[Value]:
        self.offers[message] = list(offers)
        return [self._offer(reply, offers).value for reply in self._reply(message)]

    def text(self, message: str, default: str, fault: Fault, *, hint: str = "") -> str:
        self.defaults[message] = default
        typed: str = self._reply(message)
        assert fault(typed) is None, fault(typed)
        return typed

    def confirm(self, message: str) -> bool:
        return bool(self._reply(message))

    def chosen(self, message: str) -> list[str]:
        """The titles of what was chosen to begin with."""
        return [offer.title for offer in self.offers[message] if offer.is_chosen]

    def _reply(self, message: str) -> Reply:
        self.asked.append(message)
        reply = self._replies.pop(0) if self._replies else Leave()
        if isinstance(reply, Back | Leave):
            raise reply
        return reply

    @staticmethod
    def _offer(wanted: str, offers: Sequence[Offer[Value]]) -> Offer[Value]:
        available = [offer for offer in offers if offer.unavailable is None]
        found = [offer for offer in available if offer.title.startswith(wanted)]
        assert found, f"{wanted!r} is not among {[offer.title for offer in available]}"
        return found[0]
