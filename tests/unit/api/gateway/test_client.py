"""The client's end of a request, on a wire that a test holds in its hands."""

import asyncio

import pytest
from starlette.types import Message, Scope

from api.gateway.client import Client, Patience

PATIENCE_SECONDS = 60
SCOPE: Scope = {"type": "http", "headers": []}


class Wire:
    """ASGI as uvicorn has it: an answer that is complete is told like a client that left."""

    def __init__(self) -> None:
        self.is_listened_to = asyncio.Event()
        self._is_over = asyncio.Event()

    async def receive(self) -> Message:
        self.is_listened_to.set()
        await self._is_over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._is_over.set()

    def hang_up(self) -> None:
        self._is_over.set()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def client(wire: Wire) -> Client:
    return Client(SCOPE, wire.receive, wire.send, b"some-id", Patience())


async def begun(client: Client, wire: Wire) -> None:
    """A stream that has lasted long enough for its client to be listened to."""
    client.watch(is_streamed=True)
    await client.begin_stream(())
    await client.write(b"data: 1\n\n")
    await wire.is_listened_to.wait()


async def soon(serving: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait({serving})


async def test_who_has_the_whole_answer_is_not_lost_whatever_is_still_to_be_done(client: Client, wire: Wire) -> None:
    async def serve() -> None:
        await begun(client, wire)
        await client.end_stream(b"data: [DONE]\n\n")
        for _ in range(3):
            await asyncio.sleep(0)

    serving = asyncio.create_task(serve())
    await soon(serving)
    assert not serving.cancelled()
    assert not client.is_lost


async def test_who_leaves_before_its_end_ends_what_is_done_for_it(client: Client, wire: Wire) -> None:
    async def serve() -> None:
        await begun(client, wire)
        wire.hang_up()
        await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await soon(serving)
    assert serving.cancelled()
    assert client.is_lost
    client.unwatch()
