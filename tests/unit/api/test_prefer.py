import pytest

from api.prefer import MAX_WAIT_SECONDS, Preference, parse_prefer


@pytest.mark.parametrize(
    ("header", "preference"),
    [
        (None, Preference()),
        ("", Preference()),
        ("wait=10", Preference(10, "wait=10")),
        ('WAIT="10"', Preference(10, "wait=10")),
        ("respond-async", Preference(0, "respond-async")),
        ("respond-async, wait=5", Preference(5, "wait=5")),
        ("wait=5; q=1, handling=lenient", Preference(5, "wait=5")),
        ("wait=99999999999999999999", Preference(MAX_WAIT_SECONDS, f"wait={MAX_WAIT_SECONDS}")),
        ("wait=0", Preference(0, "wait=0")),
        ("wait=5, wait=9", Preference(5, "wait=5")),
    ],
)
def test_the_preferences_that_are_understood(header: str | None, preference: Preference) -> None:
    assert parse_prefer(header) == preference


@pytest.mark.parametrize(
    "header", ["wait", "wait=", "wait=-1", "wait=1.5", "wait=soon", "wait=²", "return=minimal", ",;="]
)
def test_what_is_not_understood_is_ignored(header: str) -> None:
    assert parse_prefer(header) == Preference()
