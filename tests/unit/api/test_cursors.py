from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import decode_cursor, decode_moment_cursor, encode_cursor, encode_moment_cursor
from common.errors import InvalidInput

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis wants none


@given(st.uuids())
def test_a_cursor_leads_back_to_its_id(last: object) -> None:
    assert decode_cursor(encode_cursor(last)) == last  # type: ignore[arg-type]


@given(MOMENTS, st.uuids())
def test_a_cursor_of_a_moment_leads_back_to_it_to_the_microsecond(moment: datetime, last: object) -> None:
    assert decode_moment_cursor(encode_moment_cursor(moment, last)) == (moment, last)  # type: ignore[arg-type]


@pytest.mark.parametrize("cursor", ["nonsense", "A" * 22, "_" * 32, "A" * 31])
def test_what_is_no_cursor_of_a_moment_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        decode_moment_cursor(cursor)


@pytest.mark.parametrize("cursor", ["nonsense", "AAAA", "é", "=" * 24, "A" * 23, "!!!!" + "A" * 22, " ", "\x00" * 22])
def test_what_is_no_cursor_is_refused_and_the_field_named(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_cursor(cursor)
    assert refusal.value.field == "cursor"


@given(st.text(max_size=40))
def test_no_text_makes_decoding_fail_in_another_way(cursor: str) -> None:
    for decode in (decode_cursor, decode_moment_cursor):
        try:
            decode(cursor)
        except InvalidInput:
            continue
