"""The questions as a terminal's keys answer them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from cli.menu.asker import Back, Leave, Offer
from cli.menu.questions import Questions

DOWN, ENTER, ALT_ENTER, CTRL_C, CTRL_D = "\x1b[B", "\r", "\x1b\r", "\x03", "\x04"
COLOURS = [
    Offer("r", "red"),
    Offer("g", "green", unavailable="sold out"),
    Offer("b", "blue", "Like the sky. " * 20, is_chosen=True),
    Offer(None, "none"),
]

Ask = Callable[[Questions], Any]
KINDS: dict[str, Ask] = {
    "select": lambda questions: questions.select("Colour?", COLOURS),
    "check": lambda questions: questions.check("Colours?", COLOURS),
    "text": lambda questions: questions.text("Why?", "", lambda _: None),
    "confirm": lambda questions: questions.confirm("Sure?"),
}


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


def answered(keys: PipeInput, ask: Ask, typed: str) -> Any:
    keys.send_text(typed)
    return ask(Questions())


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_goes_back_and_ctrl_d_leaves(keys: PipeInput, kind: str) -> None:
    with pytest.raises(Back):
        answered(keys, KINDS[kind], CTRL_C)
    with pytest.raises(Leave):
        answered(keys, KINDS[kind], CTRL_D)


def test_the_pointer_begins_at_what_is_chosen_and_passes_over_what_cannot_be(keys: PipeInput) -> None:
    select = KINDS["select"]
    assert answered(keys, select, ENTER) == "b"
    assert answered(keys, select, DOWN + ENTER) is None
    assert answered(keys, select, DOWN * 2 + ENTER) == "r"
    assert answered(keys, select, DOWN * 3 + ENTER) == "b"


def test_what_is_chosen_is_checked_to_begin_with_and_something_must_be(keys: PipeInput) -> None:
    check = KINDS["check"]
    assert answered(keys, check, ENTER) == ["b"]
    assert answered(keys, check, " " + ENTER) == ["r", "b"]
    assert answered(keys, check, "a" + ENTER) == ["r", "b", None]
    # all, then none of them: Enter goes nowhere until the first is checked
    assert answered(keys, check, "aa" + ENTER + " " + ENTER) == ["r"]


def test_enter_sends_and_alt_enter_or_a_paste_make_lines(keys: PipeInput) -> None:
    text = KINDS["text"]
    assert answered(keys, text, "Why?" + ENTER) == "Why?"
    assert answered(keys, text, "One" + ALT_ENTER + "two" + ENTER) == "One\ntwo"
    assert answered(keys, text, "\x1b[200~One\ntwo\n\x1b[201~" + ENTER) == "One\ntwo\n"


def test_a_text_with_a_fault_is_not_sent(keys: PipeInput) -> None:
    def fault(typed: str) -> str | None:
        return None if typed == "yes" else "say yes"

    assert answered(keys, lambda questions: questions.text("Well?", "ye", fault), ENTER + "s" + ENTER) == "yes"


def test_nothing_is_confirmed_by_enter_alone(keys: PipeInput) -> None:
    assert answered(keys, KINDS["confirm"], ENTER) is False
    assert answered(keys, KINDS["confirm"], "y") is True
