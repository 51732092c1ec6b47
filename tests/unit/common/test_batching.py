import asyncio
from collections.abc import Sequence

import pytest

from common.batching import Batcher


class Doubler:
    """A flush that remembers its batches and may be told to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self.has_begun = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.has_begun.set()
        await asyncio.sleep(0.001)
        if self.error:
            raise self.error
        return [2 * item for item in items]


async def test_what_arrives_during_a_flush_leaves_together() -> None:
    flush = Doubler()
    batcher = Batcher(flush)
    first = asyncio.create_task(batcher.submit(1))
    await flush.has_begun.wait()
    rest = [batcher.submit(item) for item in range(2, 10)]
    assert await asyncio.gather(first, *rest) == [2 * item for item in range(1, 10)]
    assert flush.batches == [[1], list(range(2, 10))]


async def test_a_batch_is_bounded() -> None:
    flush = Doubler()
    batcher = Batcher(flush, max_items=3)
    await asyncio.gather(*(batcher.submit(item) for item in range(8)))
    assert [len(batch) for batch in flush.batches] == [3, 3, 2]


async def test_a_failed_flush_reaches_every_submitter_and_the_next_batch_works() -> None:
    flush = Doubler()
    batcher = Batcher(flush)
    flush.error = OSError("away")
    results = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    flush.error = None
    assert await batcher.submit(3) == 6


async def test_a_submitter_that_gave_up_hurts_nobody() -> None:
    batcher = Batcher(Doubler())
    impatient = asyncio.create_task(batcher.submit(1))
    patient = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await patient == 4


async def test_one_items_fault_is_no_other_items() -> None:
    async def flush(items: Sequence[int]) -> list[int]:
        if 2 in items:
            raise ValueError("2 is odd")
        return [2 * item for item in items]

    batcher = Batcher(flush, is_of_one=lambda error: isinstance(error, ValueError))
    first, odd, last = await asyncio.gather(*map(batcher.submit, (1, 2, 3)), return_exceptions=True)
    assert (first, type(odd), last) == (2, ValueError, 6)


async def test_an_item_waits_for_company_only_where_the_last_batch_had_some() -> None:
    flush = Doubler()
    batcher = Batcher(flush, linger_seconds=60)
    # a minute's wait would be a failure here
    async with asyncio.timeout(10):
        assert await batcher.submit(1) == 2
        assert await batcher.submit(2) == 4
        await asyncio.gather(batcher.submit(3), batcher.submit(4))
    late = asyncio.create_task(batcher.submit(5))
    await asyncio.wait([late], timeout=0.05)
    assert not late.done()
    assert flush.batches == [[1], [2], [3, 4]]
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
