from datetime import UTC, datetime, timedelta

from worker.recovery import Awakening

START = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)


def verdicts(*seconds: float) -> list[bool]:
    awakening = Awakening(LEASE)
    return [awakening.is_over(START + timedelta(seconds=one)) for one in seconds]


def test_a_worker_that_starts_takes_silence_at_its_word() -> None:
    assert verdicts(0) == [True]


def test_looks_that_follow_each_other_go_on_taking_it() -> None:
    assert verdicts(0, 1, 2, 9) == [True, True, True, True]


def test_after_a_gap_of_our_own_the_others_have_half_a_lease_to_send_a_heartbeat() -> None:
    assert verdicts(0, 30, 31, 37, 37.6) == [True, False, False, False, True]


def test_a_second_gap_begins_the_wait_anew() -> None:
    assert verdicts(0, 30, 60, 67, 67.6) == [True, False, False, False, True]
