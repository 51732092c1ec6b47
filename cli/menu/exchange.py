"""The client, for code that waits for people: each exchange with the server runs to its end."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from cli.client import Client
from cli.menu.asker import Back

Result = TypeVar("Result")


class Exchange:
    """One client on one loop, which stands still while a question is open."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._runner = asyncio.Runner()

    def __call__(self, work: Callable[[Client], Coroutine[Any, Any, Result]]) -> Result:
        """What the work returns or raises.

        Raises:
            Back: Ctrl-C; the work was cancelled and has ended.
        """
        try:
            return self._runner.run(work(self._client))
        except KeyboardInterrupt as error:
            raise Back from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._runner:
            self._runner.run(self._client.__aexit__(None, None, None))
