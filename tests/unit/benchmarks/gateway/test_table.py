import pytest

from benchmarks.gateway.figures import AtMost, Figure, Times, markdown, ratio_of


def figure(*targets: Times | AtMost, **samples: list[float]) -> Figure:
    return Figure("speed", "ms", targets, samples)


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    assert ratio_of({"ours": [10.0, 20.0, 90.0], "bare": [5.0, 5.0, 30.0]}, "bare") == 3


def test_rounds_without_a_partner_leave_the_ratio_of_the_medians() -> None:
    assert ratio_of({"ours": [10.0, 20.0, 90.0], "bare": [5.0]}, "bare") == 4


@pytest.mark.parametrize(("least", "is_met"), [(3.9, True), (4.0, True), (4.1, False)])
def test_a_multiple_of_a_peer_is_met_from_its_limit_on(least: float, is_met: bool) -> None:
    assert figure(Times("bare", least), ours=[20.0], bare=[5.0]).is_met is is_met


@pytest.mark.parametrize(("limit", "is_met"), [(19.9, False), (20.0, True)])
def test_a_bound_is_met_up_to_its_limit(limit: float, is_met: bool) -> None:
    assert figure(AtMost(limit, "ms"), ours=[20.0]).is_met is is_met


def test_of_two_targets_both_must_be_met() -> None:
    targets = (Times("bare", 0.5), Times("LiteLLM", 20))
    assert figure(*targets, ours=[10.0], bare=[10.0], LiteLLM=[0.5]).is_met is True
    assert figure(*targets, ours=[10.0], bare=[10.0], LiteLLM=[0.6]).is_met is False


@pytest.mark.parametrize("samples", [{}, {"ours": [1.0]}, {"bare": [1.0]}])
def test_what_was_not_measured_was_not_met(samples: dict[str, list[float]]) -> None:
    assert figure(Times("bare", 0.5), **samples).is_met is False


def test_a_figure_without_a_target_is_not_judged() -> None:
    assert figure(ours=[1.0]).is_met is None


def test_the_table_shows_every_system_its_spread_and_the_verdict() -> None:
    measured = figure(Times("bare", 0.5), AtMost(0, "ms"), ours=[4.0, 6.0, 5.0], bare=[10.0, 10.0, 10.0])
    assert markdown([measured]).splitlines()[2:] == [
        "| speed | 5 ms (4 to 6) | 10 ms (10 to 10) |  |  | 0.5 |  | ≥ 0.5 x bare and none | **no** |"
    ]
