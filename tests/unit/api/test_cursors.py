import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import decode_cursor, encode_cursor
from common.errors import InvalidInput


@given(st.uuids())
def test_a_cursor_leads_back_to_its_id(last: object) -> None:
    assert decode_cursor(encode_cursor(last)) == last  # type: ignore[arg-type]


@pytest.mark.parametrize("cursor", ["nonsense", "AAAA", "é", "=" * 24, "A" * 23, " ", "\x00" * 22])
def test_what_is_no_cursor_is_refused_and_the_field_named(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_cursor(cursor)
    assert refusal.value.field == "cursor"


@given(st.text(max_size=40))
def test_no_text_makes_decoding_fail_in_another_way(cursor: str) -> None:
    try:
        decode_cursor(cursor)
    except InvalidInput:
        return
