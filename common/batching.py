"""Group commit: whatever arrives while one flush is on its way leaves together with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Turns many concurrent `submit(item)` into few `flush(items)`.

    Under load a batch grows to what arrived during the flush before it. Where company can be expected, for the last
    batch had some, an item waits `linger_seconds` for it, by default not at all. `flush` returns one result an item,
    in order; if it raises, every submitter of that batch gets the exception. Where `is_of_one` says that the exception
    is one item's fault, each is flushed alone, so that the others do not pay for it. Belongs to one event loop.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        max_items: int = 200,
        linger_seconds: float = 0,
        is_of_one: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self._flush = flush
        self._is_of_one = is_of_one
        self._max_items = max_items
        self._linger_seconds = linger_seconds
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._has_company = False
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Hand in an item; blocks until its batch was flushed and returns its own result."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                # Even a linger of nothing is one turn of the loop: what is ready now joins the batch.
                await asyncio.sleep(self._linger_seconds if self._has_company else 0)
                batch, self._waiting = self._waiting[: self._max_items], self._waiting[self._max_items :]
                self._has_company = len(batch) > 1
                await self._flush_batch(batch)
        finally:
            self._runner = None

    async def _flush_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # handed to every waiting caller
            if len(batch) > 1 and self._is_of_one(error):
                for one in batch:
                    await self._flush_batch([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():  # its submitter may have been cancelled meanwhile
                    future.set_result(result)
