from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.events.ids import BEGINNING, LAST, order_of, postgres_id


def test_ids_are_ordered_by_time_then_by_sequence_as_numbers() -> None:
    ids = ["9-9", "10-0", "10-2", "10-10", postgres_id(1), postgres_id(2), postgres_id(10)]
    assert all(order_of(one) < order_of(other) for one, other in pairwise(ids))


def test_an_id_without_a_sequence_is_the_first_of_its_time() -> None:
    assert order_of("12") == order_of("12-0")


@pytest.mark.parametrize("event_id", ["12-x", "x-12", "pg-", "pg-x", "-1", "9" * 21])
def test_an_id_that_is_half_ours_stands_at_the_beginning(event_id: str) -> None:
    assert order_of(event_id) == BEGINNING


def test_what_postgres_adds_comes_after_the_stream_and_before_the_end() -> None:
    assert order_of("99999999999999-0") < order_of(postgres_id(1)) < LAST


@given(st.text(max_size=60))
def test_any_id_has_a_place_and_one_that_is_none_of_ours_stands_at_the_beginning(text: str) -> None:
    assert BEGINNING <= order_of(text) < LAST
    if not any(letter.isdigit() for letter in text):
        assert order_of(text) == BEGINNING
