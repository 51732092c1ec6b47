"""A thousand calls through one adapter, good, failed and left, leave nothing behind."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress

import psutil
import pytest

from common.errors import ProviderError
from common.providers.complete import complete
from tests.contract.subjects import Troubled
from tests.contract.troubles import Trouble

CALLS = 1000
AT_ONCE = 20
WARM_UP = 100
# What an adapter is made of; strings and dicts die with the objects that hold them. Not asyncio: its
# objects are the scripted server's too, which remembers every exchange. Sockets and tasks stand for it.
OURS = ("common.", "openai", "anthropic", "httpx2", "httpcore2", "h11")
# Connections of the pool have some objects each.
SPARE_OBJECTS = 100
PATIENCE_SECONDS = 10


async def good(subject: Troubled) -> None:
    assert (await complete(subject.provider, subject.asked())).text


async def failed(subject: Troubled) -> None:
    with pytest.raises(ProviderError):
        await complete(subject.provider, subject.troubled(Trouble.RATE_LIMITED))


async def left(subject: Troubled) -> None:
    async with aclosing(subject.provider.stream(subject.endless())) as stream:
        assert (await anext(stream)).text


async def calls(subject: Troubled, count: int) -> None:
    """Eight in ten end well, one fails, one is left at its first token."""
    fates = [*[good] * 8, failed, left]
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(fates[place % len(fates)](subject) for place in range(start, start + AT_ONCE)))


def census() -> Counter[str]:
    """How many objects of each of our types are alive."""
    gc.collect()
    kinds = Counter(type(thing) for thing in gc.get_objects())
    named = {f"{kind.__module__}.{kind.__qualname__}": count for kind, count in kinds.items()}
    return Counter({name: count for name, count in named.items() if name.startswith(OURS)})


def more(grown: Counter[str]) -> list[tuple[str, int]]:
    return grown.most_common(5) if grown.total() >= SPARE_OBJECTS else []


def sockets() -> int:
    return len(psutil.Process().net_connections("tcp"))


async def settled(left_over: Callable[[], object]) -> None:
    """Return when nothing is: what was left closes in the background, and the kernel tells nobody."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while left_over():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert not left_over()


@pytest.fixture
def _collected_here() -> Iterator[None]:
    """Garbage is collected by the test alone.

    Else by whichever thread happens to: in that of a mock's server, what a vendor's client leaves of a stream that was
    left cannot be closed, "async generator already executing".
    """
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.mark.usefixtures("_collected_here")
async def test_a_thousand_calls_leave_no_object_task_or_socket(connected: Troubled) -> None:
    sockets_before, tasks_before = sockets(), asyncio.all_tasks()
    await calls(connected, WARM_UP)
    objects_before = census()
    await calls(connected, CALLS)
    await settled(lambda: more(census() - objects_before))
    await connected.provider.close()
    await settled(lambda: asyncio.all_tasks() - tasks_before)
    await settled(lambda: max(0, sockets() - sockets_before))
