from common.admission.headers import headers_of
from common.admission.operations import RefusedBy, Reserve, Verdict

REQUESTS = Verdict(RefusedBy.REQUESTS, 1500, requests_left=0, requests_reset=61_000)
BUDGET = Verdict(RefusedBy.BUDGET)


def asked(**limits: int) -> Reserve:
    return Reserve("key", "a", 5, 0, "2026-11", 0, **limits)


def test_a_client_is_told_of_the_limits_of_its_key_in_openais_words() -> None:
    verdict = Verdict(RefusedBy.NOTHING, requests_left=9, requests_reset=61_000, tokens_left=95, tokens_reset=12_500)
    assert headers_of(asked(requests_limit=10, tokens_limit=100), verdict) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "1m1s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "95",
        "x-ratelimit-reset-tokens": "12.5s",
    }


def test_a_client_is_told_nothing_of_limits_that_its_key_has_not() -> None:
    assert headers_of(asked(parallel_limit=1), REQUESTS) == {}
    assert {name.rsplit("-", 1)[1] for name in headers_of(asked(requests_limit=1), REQUESTS)} == {"requests"}


def test_only_who_has_spent_its_budget_is_told_not_to_try_again() -> None:
    assert headers_of(asked(budget=1), BUDGET) == {"x-should-retry": "false"}
    assert "x-should-retry" not in headers_of(asked(requests_limit=1), REQUESTS)
