"""Circuits of models that somebody made up. What circuits do is in tests/integration/test_circuits.py."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from redis.asyncio import Redis

from common.circuits import MAX_CIRCUITS, Circuits


class Hash:
    """As much of Redis as counts failures: each field's first."""

    def __init__(self) -> None:
        self.fields: set[str] = set()

    def register_script(self, _: str) -> Callable[..., Awaitable[list[int]]]:
        async def run(keys: list[str], args: list[Any]) -> list[int]:  # as redis-py calls it
            self.fields.add(args[0])
            return [1, 0]

        return run

    async def delete(self, _: str) -> None:
        self.fields.clear()


async def test_names_that_somebody_makes_up_do_not_fill_redis() -> None:
    redis = Hash()
    circuits = Circuits(cast("Redis", redis), failures=5, open_seconds=1)
    for number in range(MAX_CIRCUITS):
        await circuits.failed(f"ollama/{number}")
    await circuits.failed("ollama/0")
    assert len(redis.fields) == MAX_CIRCUITS
    for number in range(2 * MAX_CIRCUITS):
        await circuits.failed(f"ollama/made-up-{number}")
        assert len(redis.fields) <= MAX_CIRCUITS
