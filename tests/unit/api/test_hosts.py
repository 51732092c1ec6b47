import pytest

from api.hosts import is_own_name

NAMES = frozenset({"backend"})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "app.localhost", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "[::1]", "10.1.2.3",
     "backend:8000", "Backend."],
)  # fmt: skip
def test_addresses_localhost_and_configured_names_are_our_own(host: str) -> None:
    assert is_own_name(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "backend.evil",
        "x",
        "[evil]:80",
    ],
)
def test_a_name_that_somebody_else_may_point_at_us_is_not(host: str) -> None:
    assert not is_own_name(host, NAMES)
