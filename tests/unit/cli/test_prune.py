from datetime import timedelta

import pytest
import typer

from cli.prune import parse_age


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("1m", timedelta(minutes=1)),
        ("12h", timedelta(hours=12)),
        (" 30d ", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_an_age_is_a_number_and_a_unit(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["30", "d", "-3d", "1.5d", "3 months", "30D", "٣d", "1d2h", "9" * 21 + "d"])
def test_what_is_no_age_is_refused_by_its_text_and_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is no time: .* such as 12h or 30d") as refused:
        parse_age(text)
    assert repr(text) in refused.value.message


@pytest.mark.parametrize("text", ["0d", "0m", "36501d", "99999999999999999999w"])
def test_an_age_out_of_range_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is out of range: from 1m to 36500d"):
        parse_age(text)
