"""A stream that is passed through, and what becomes of its connection."""

import asyncio
from collections.abc import Mapping

from api.gateway.chunks import Chunks
from api.gateway.kinds import CHAT
from api.gateway.passing import PassedStream
from api.gateway.transport import Reply
from api.gateway.upstream import Upstream
from common.providers.http import Proxies

FINISHED = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Endless(Reply):
    """A response that said its last event and keeps its connection waiting for the end."""

    def __init__(self) -> None:
        self.status = 200
        self.is_asked = asyncio.Event()
        self.is_closed = False

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    async def piece(self) -> bytes:
        self.is_asked.set()
        await asyncio.Event().wait()
        return b""

    def is_over(self) -> bool:
        return False

    def close(self) -> None:
        self.is_closed = True


def passed(reply: Reply) -> PassedStream:
    chunks = Chunks(CHAT, "somewhere", "openai-gpt4o", wants_usage=False)
    chunks.feed(FINISHED)
    return PassedStream(Upstream("somewhere", "http://127.0.0.1:9/v1", None, Proxies()), reply, chunks, 60.0)


async def test_a_connection_whose_end_is_late_is_given_up() -> None:
    reply = Endless()
    await passed(reply).close()
    assert reply.is_closed


async def test_so_is_one_whose_end_nobody_waits_for_any_more() -> None:
    reply = Endless()
    closing = asyncio.create_task(passed(reply).close())
    await reply.is_asked.wait()
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    assert reply.is_closed
