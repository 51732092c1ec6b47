import pytest

from benchmarks.fleet.figures import Added, Left, added_markdown, left_markdown
from benchmarks.fleet.stages import STAGES, Times, Trip, markdown, of


def test_what_is_added_is_the_median_of_the_pairs_differences() -> None:
    figure = Added("cold", "s", 1.0)
    # their medians are 1.1 s apart, for one pair met with a bad moment
    for ours, plain in [(1.2, 1.0), (3.0, 2.9), (3.1, 1.9)]:
        figure.add(ours, plain)
    assert figure.added == pytest.approx(0.2)


@pytest.mark.parametrize(("ours", "is_met"), [(1.9, True), (2.0, False), (2.1, False)])
def test_what_is_added_has_to_stay_under_its_limit(ours: float, is_met: bool) -> None:
    assert Added("cold", "s", 1.0, ours=[ours], plain=[1.0]).is_met is is_met


@pytest.mark.parametrize(("after", "is_met"), [(4, True), (5, True), (6, False)])
def test_what_is_left_may_grow_up_to_its_limit(after: float, is_met: bool) -> None:
    assert Left("connections", "", before=4, after=after, limit=1).is_met is is_met


def test_the_tables_show_medians_spread_and_verdicts() -> None:
    figure = Added("cold", "s", 1.0, ours=[2.0, 3.0, 4.0], plain=[1.0, 1.0, 1.0])
    assert added_markdown([figure]).splitlines()[2:] == [
        "| cold | 3 | 3 s (2.2 to 3.8) | 1 s (1 to 1) | 2 s (1.2 to 2.8) | < 1 s | **no** |"
    ]
    left = [Left("containers", "", 0, 0, 0), Left("api", "MB", 80.25, 81.5, 2)]
    assert left_markdown(left, "20 cycles").splitlines() == [
        "| 20 cycles | before | after | grown by | target | met |",
        "| --- | --- | --- | --- | --- | --- |",
        "| containers | 0 | 0 | 0 | ≤ 0 | yes |",
        "| api, MB | 80.2 | 81.5 | 1.25 | ≤ 2 | yes |",
    ]


def test_the_stages_of_a_trip_are_the_whole_of_it() -> None:
    trip = Trip("a job", asked_at=10.0, answered_at=10.100)
    times = Times(stored=10.001, begun=10.005, claimed=10.009, recorded=10.092, ended=10.097, model_seconds=0.080)
    seconds = of(trip, times)
    assert sum(seconds) == pytest.approx(0.100)
    assert seconds == pytest.approx([0.001, 0.004, 0.004, 0.003, 0.080, 0.005, 0.003])


def test_the_stages_table_shows_the_median_of_each() -> None:
    taken = [[0.001 * number] * len(STAGES) for number in (1, 2, 9)]
    assert markdown(taken).splitlines()[2] == f"| {STAGES[0]} | 2.00 |"
