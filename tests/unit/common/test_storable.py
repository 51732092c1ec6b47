from hypothesis import given
from hypothesis import strategies as st

from common.storable import StorableStream, storable

# Hypothesis leaves surrogates out unless it is asked for them.
ANY_TEXT = st.text(st.characters(exclude_categories=()))
UNTROUBLED = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))


@given(ANY_TEXT)
def test_whatever_comes_out_can_be_encoded_and_holds_no_nul(text: str) -> None:
    assert b"\x00" not in storable(text).encode()


@given(UNTROUBLED)
def test_a_text_without_fault_is_left_alone(text: str) -> None:
    assert storable(text) == text


@given(UNTROUBLED, st.integers(min_value=1, max_value=5))
def test_a_text_cut_between_any_two_utf16_units_comes_out_whole(text: str, size: int) -> None:
    units = [chr(int.from_bytes(raw, "little")) for raw in _pairs(text.encode("utf-16-le"))]
    stream = StorableStream()
    pieces = [stream.feed("".join(units[place : place + size])) for place in range(0, len(units), size)]
    assert "".join(pieces) + stream.end() == text


@given(st.lists(ANY_TEXT))
def test_pieces_come_out_as_the_whole_would(pieces: list[str]) -> None:
    stream = StorableStream()
    assert "".join(stream.feed(piece) for piece in pieces) + stream.end() == storable("".join(pieces))


def _pairs(raw: bytes) -> list[bytes]:
    return [raw[place : place + 2] for place in range(0, len(raw), 2)]
