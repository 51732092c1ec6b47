import pytest

from cli.embedded.errors import CannotStart
from cli.embedded.plan import parse_only
from cli.embedded.program import address_to_ask, api_part, worker_parts


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7")],  # noqa: S104
)
def test_a_server_that_listens_everywhere_is_asked_on_loopback(host: str, address: str) -> None:
    assert address_to_ask(host) == address


def test_there_are_as_many_workers_of_each_kind_as_were_asked_for() -> None:
    names = [part.name for part in worker_parts(2, frozenset(), {}, probe=None)]
    assert sorted(names) == [
        *("worker-cloud-1", "worker-cloud-2"),
        *("worker-control-1", "worker-control-2"),
        *("worker-local-1", "worker-local-2"),
    ]


def test_workers_of_two_starts_have_different_names() -> None:
    first, second = (worker_parts(1, frozenset(), {}, probe=None)[0].command for _ in range(2))
    assert first != second


def test_the_api_stops_before_the_workers() -> None:
    api = api_part("127.0.0.1", 8000, frozenset(), {})
    assert all(api.stage > part.stage for part in worker_parts(1, frozenset(), {}, probe=None))


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CannotStart, match=r"No part redis: choose from postgres, valkey, model, ultra, lifecycle\."):
        parse_only("postgres,redis")
