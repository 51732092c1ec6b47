"""What the menu needs of whatever asks the questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Value = TypeVar("Value")
# What is wrong with a text, for the person who typed it; None if nothing is.
Fault = Callable[[str], str | None]


class Back(Exception):
    """The person goes back a step."""


class Leave(Exception):
    """The person leaves the menu."""


@dataclass(frozen=True, slots=True)
class Offer(Generic[Value]):
    """Something to choose. `unavailable` says why it cannot be."""

    value: Value
    title: str
    description: str | None = None
    unavailable: str | None = None
    is_chosen: bool = False


class Asker(Protocol):
    """Asks one question at a time. Every method raises `Back` for Ctrl-C and `Leave` for Ctrl-D."""

    def select(self, message: str, offers: Sequence[Offer[Value]]) -> Value:
        """One of the offers; the pointer begins at the first chosen one."""
        ...

    def check(self, message: str, offers: Sequence[Offer[Value]]) -> list[Value]:
        """At least one of the offers, in their order; the chosen ones are checked to begin with."""
        ...

    def text(self, message: str, default: str, fault: Fault, *, hint: str = "") -> str:
        """A text without fault, in one line or several."""
        ...

    def confirm(self, message: str) -> bool:
        """Yes or no; no unless said otherwise."""
        ...
