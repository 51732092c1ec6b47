"""Text out of tokens, and stops."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engines.pretrained.text import Cutting, Spelling


def decode(tokens: Sequence[int]) -> str:
    """A tokenizer of bytes, the hardest there is."""
    return bytes(tokens).decode(errors="replace")


@given(st.text())
def test_every_character_is_shown_once_and_whole(text: str) -> None:
    spelling = Spelling(decode)
    shown = [spelling.add(byte) for byte in text.encode()]
    assert "".join(shown) + spelling.rest() == text
    assert all("\N{REPLACEMENT CHARACTER}" not in part for part in shown)


def test_half_a_character_at_the_end_is_shown_as_what_it_is() -> None:
    spelling = Spelling(decode)
    assert [spelling.add(byte) for byte in "é".encode()[:1]] == [""]
    assert spelling.rest() == "\N{REPLACEMENT CHARACTER}"


def test_bytes_that_are_never_a_text_are_not_held_back_for_ever() -> None:
    spelling = Spelling(decode)
    shown = [spelling.add(0xFF) for _ in range(200)]
    assert all(len(part) <= 1 for part in shown)
    assert len("".join(shown)) > 190
    assert "".join(shown) + spelling.rest() == decode([0xFF] * 200)


@given(st.lists(st.text("éß漢\N{GRINNING FACE}a", min_size=1), min_size=1), st.integers(1, 3))
def test_tokens_that_each_end_inside_a_character_are_shown_as_they_come(parts: list[str], shift: int) -> None:
    whole = "".join(parts).encode()
    tokens = [whole[at : at + shift] for at in range(0, len(whole), shift)]
    spelling = Spelling(lambda numbers: b"".join(tokens[number] for number in numbers).decode(errors="replace"))
    shown = [spelling.add(number) for number in range(len(tokens))]
    assert "".join(shown) + spelling.rest() == whole.decode()


@given(st.lists(st.text("ab")), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_a_text_ends_before_its_first_stop_however_it_is_cut(parts: list[str], stops: list[str]) -> None:
    cutting = Cutting(stops)
    shown = ""
    for part in parts:
        shown += cutting.add(part)
        assert not any(stop in shown for stop in stops)
    shown += cutting.rest()
    whole = "".join(parts)
    ends = [whole.find(stop) for stop in stops if stop in whole]
    assert cutting.has_met_stop == bool(ends)
    if not ends:
        assert shown == whole
    else:
        # Which of two overlapping stops is met first depends on where the text was cut, as it does with tokens.
        assert whole.startswith(shown)
        assert any(whole[len(shown) :].startswith(stop) for stop in stops)


@pytest.mark.parametrize(("parts", "shown"), [(["a", "b", "X"], ["a", "", ""]), (["a", "b", "c"], ["a", "", "bc"])])
def test_what_may_begin_a_stop_is_held_back(parts: list[str], shown: list[str]) -> None:
    cutting = Cutting(["bX"])
    assert [cutting.add(part) for part in parts] == shown
