"""Work that the process does not wait for when it ends."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def in_own_thread(work: Callable[[], Result]) -> Result:
    """Do this in a daemon thread: a load of minutes cannot be interrupted, and a stop must not wait for it."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Result] = loop.create_future()

    def tell(setter: Callable[[Any], None], value: object) -> None:
        if not result.done():
            setter(value)

    def do() -> None:
        try:
            loop.call_soon_threadsafe(tell, result.set_result, work())
        except BaseException as error:  # noqa: BLE001  # whoever waits for the result gets it
            loop.call_soon_threadsafe(tell, result.set_exception, error)

    threading.Thread(target=do, name="load", daemon=True).start()
    return await result
