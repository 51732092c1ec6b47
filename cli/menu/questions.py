"""The questions on a terminal, by `questionary`."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, cast

import questionary
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from questionary import Choice, Question

from cli.menu.asker import Back, Fault, Leave, Offer, Value

# "  Description: " stands before it, and a line that is wider than this is hard to read.
MAX_DESCRIPTION_CHARACTERS = 90
SELECT_HINT = "(↑↓, Enter)"
CHECK_HINT = "(Space chooses, Enter goes on)"
TEXT_HINT = "(Enter sends, Alt-Enter begins a line)"


class Questions:
    """An `Asker` over the terminal of this process."""

    def select(self, message: str, offers: Sequence[Offer[Value]]) -> Value:
        pointed_at = next((offer for offer in offers if offer.is_chosen), None)
        choices = [_choice(offer, is_checkable=False) for offer in offers]
        question = questionary.select(message, choices, default=pointed_at, instruction=SELECT_HINT)  # type: ignore[arg-type]  # any value
        return cast("Offer[Value]", _ask(question)).value

    def check(self, message: str, offers: Sequence[Offer[Value]]) -> list[Value]:
        choices = [_choice(offer, is_checkable=True) for offer in offers]
        question = questionary.checkbox(
            message, choices, instruction=CHECK_HINT, validate=lambda chosen: bool(chosen) or "Choose at least one."
        )
        return [offer.value for offer in cast("list[Offer[Value]]", _ask(question))]

    def text(self, message: str, default: str, fault: Fault, *, hint: str = "") -> str:
        question = questionary.text(
            message,
            default,
            validate=lambda typed: fault(typed) or True,
            multiline=True,
            instruction=f"{TEXT_HINT}{f' {hint}' if hint else ''}\n>",
            key_bindings=_enter_sends(),
            validate_while_typing=False,
        )
        return cast("str", _ask(question))

    def confirm(self, message: str) -> bool:
        return cast("bool", _ask(questionary.confirm(message, default=False)))


def _choice(offer: Offer[Any], *, is_checkable: bool) -> Choice:
    return Choice(
        offer.title,
        value=offer,
        disabled=offer.unavailable,
        checked=is_checkable and offer.is_chosen,
        description=_wrapped(offer.description) if offer.description else None,
    )


def _ask(question: Question) -> Any:
    bindings = question.application.key_bindings
    if isinstance(bindings, KeyBindings):  # a list; a text has an end of input of its own
        bindings.add(Keys.ControlD, eager=True)(_end_of_input)
    sys.stdout.flush()
    try:
        return question.unsafe_ask()
    except KeyboardInterrupt as error:
        raise Back from error
    except EOFError as error:
        raise Leave from error


def _end_of_input(event: KeyPressEvent) -> None:
    event.app.exit(exception=EOFError, style="class:exiting")


def _enter_sends() -> KeyBindings:
    """A chat's keys rather than an editor's: most questions are one line."""
    bindings = KeyBindings()
    bindings.add(Keys.Enter, eager=True)(lambda event: event.current_buffer.validate_and_handle())
    bindings.add(Keys.Escape, Keys.Enter, eager=True)(lambda event: event.current_buffer.insert_text("\n"))
    return bindings


def _wrapped(description: str) -> str:
    width = min(MAX_DESCRIPTION_CHARACTERS, shutil.get_terminal_size().columns - 4)
    return "\n" + textwrap.indent(textwrap.fill(description, max(width, 20)), "    ")
