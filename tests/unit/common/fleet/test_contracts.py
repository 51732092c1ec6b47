"""What a container says of itself is anybody's word: none of it may harm the node that looks at it."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from pydantic import ValidationError

from common.contracts.fleet import ModelState
from common.fleet.contracts import MAX_BYTES, MAX_SECONDS, Fault, RunnerHealth, State

# Postgres' bigint, in which a node reports what is free.
MAX_STORED = (1 << 63) - 1


@pytest.mark.parametrize(
    "said",
    [
        '"idle_seconds": 1e999',
        '"idle_seconds": Infinity',
        '"idle_seconds": 1e15',
        '"idle_seconds": -1',
        '"load_seconds": NaN',
        '"memory_bytes": 1000000000000000000000',
        '"gpu_memory_bytes": 9223372036854775807',
        '"in_flight": 1000000000000000000000',
    ],
)
def test_figures_that_cannot_be_are_no_health(said: str) -> None:
    with pytest.raises(ValidationError):
        RunnerHealth.model_validate_json(f'{{"status": "ready", {said}}}')


def test_the_largest_figures_can_be_summed_and_made_a_span_of_time() -> None:
    assert 1000 * MAX_BYTES < MAX_STORED
    assert datetime.now(UTC) - timedelta(seconds=MAX_SECONDS) < datetime.now(UTC)


def test_the_states_on_the_wire_are_those_of_the_fleet() -> None:
    assert get_args(ModelState) == tuple(State)


def test_what_postgres_does_not_take_is_replaced_in_a_containers_words() -> None:
    health = RunnerHealth.model_validate_json('{"status": "failed", "error": "a\\u0000b"}')
    assert health.error == "a\N{REPLACEMENT CHARACTER}b"
    assert Fault("crashed", "a\0b").message == "a\N{REPLACEMENT CHARACTER}b"
