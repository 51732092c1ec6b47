from collections.abc import Sequence

import pytest

from cli.embedded.part import Part
from cli.embedded.supervisor import how_it_ended, restart_pause, stop_order


def test_pauses_between_restarts_double_and_have_an_end() -> None:
    pauses = [restart_pause(deaths) for deaths in range(1, 10)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_thousandth_death_still_has_a_pause() -> None:
    assert restart_pause(1000) == 30


def test_parts_of_a_high_stage_stop_first_and_those_of_one_stage_together() -> None:
    parts = [_part("postgres", 0), _part("cloud", 3), _part("api", 4), _part("local", 3)]
    assert stop_order(parts) == [["api"], ["cloud", "local"], ["postgres"]]


@pytest.mark.parametrize(("code", "words"), [(3, "exited with 3"), (-9, "was killed by SIGKILL")])
def test_an_exit_code_is_put_into_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words


def _part(name: str, stage: int, command: Sequence[str] = ("true",)) -> Part:
    return Part(name=name, command=tuple(command), stage=stage)
