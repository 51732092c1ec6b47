import pytest

from benchmarks.figures import Figure, markdown


def figure(**given: object) -> Figure:
    return Figure("speed", "a second", "higher", **given)  # type: ignore[arg-type]


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    assert figure(ours=[10.0, 20.0, 90.0], bare=[5.0, 5.0, 30.0]).ratio == 3


@pytest.mark.parametrize(("limit", "is_met"), [(3.9, True), (4.0, True), (4.1, False)])
def test_a_ratio_target_is_met_from_its_limit_on(limit: float, is_met: bool) -> None:
    assert figure(ours=[20.0], bare=[5.0], limit=limit, is_ratio=True).is_met is is_met


@pytest.mark.parametrize(("seconds", "is_met"), [(0.9, True), (1.0, True), (1.1, False)])
def test_a_lower_is_better_target_is_met_up_to_its_limit(seconds: float, is_met: bool) -> None:
    assert Figure("wait", "s", "lower", limit=1.0, ours=[seconds]).is_met is is_met


def test_a_ratio_target_without_a_peer_is_not_judged() -> None:
    assert figure(ours=[20.0], limit=5, is_ratio=True).is_met is None


def test_the_table_shows_medians_spread_and_verdicts() -> None:
    table = markdown(
        [
            figure(ours=[19.0, 20.0, 21.0], bare=[5.0, 5.0, 5.0], limit=5, is_ratio=True, aim="goal 6"),
            Figure("wait", "s", "lower", ours=[1.25]),
        ]
    )
    assert table.splitlines()[2:] == [
        "| speed | 20 a second (19 to 21) | 5 a second (5 to 5) | 4.00 | ≥ 5 x bare; goal 6 | **no** |",
        "| wait | 1.25 s |  |  |  |  |",
    ]
