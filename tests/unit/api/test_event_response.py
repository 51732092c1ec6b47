import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.events import hub as hubs
from api.events.hub import Hub
from api.events.stream import EventResponse
from tests.unit.api.streams import FakeEndings, FakeStreams, delta, ending, ids, job_finished, numbers

PATIENCE_SECONDS = 60


class Client:
    """The client's end of an ASGI connection."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.is_complete = False
        self.has_left = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()
        self.grew = asyncio.Event()

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
            return
        self.body += message.get("body", b"")
        self.is_complete = not message.get("more_body", False)
        self.grew.set()

    async def receive(self) -> dict[str, str]:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.body:
                self.grew.clear()
                await self.grew.wait()


@pytest.fixture
def streams() -> FakeStreams:
    return FakeStreams()


@pytest.fixture
def endings() -> FakeEndings:
    return FakeEndings()


@pytest.fixture
async def hub(streams: FakeStreams, endings: FakeEndings) -> AsyncIterator[Hub]:
    hub = Hub(streams, endings)
    async with hub.running():
        yield hub


def connect(hub: Hub, client: Client, seen: str | None = None, *, has_ended: bool = False) -> "asyncio.Task[None]":
    response = EventResponse(hub, "job", seen, has_ended=has_ended)
    return asyncio.create_task(response({"type": "http"}, client.receive, client.send))


async def test_the_stream_says_what_it_is_and_ends_after_the_last_event(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    endings.ended["job"] = ending()
    streams.add("job", delta(1), job_finished(2))
    client = Client()
    await asyncio.wait_for(connect(hub, client), PATIENCE_SECONDS)
    assert client.headers[b"content-type"] == b"text/event-stream"
    assert client.headers[b"x-accel-buffering"] == b"no"
    assert client.headers[b"cache-control"] == b"no-store"
    assert client.body.startswith(b"retry: 1000\n")
    assert ids(client.body) == ["1-0", "2-0"]
    assert client.is_complete


async def test_wherever_a_client_is_cut_off_it_resumes_without_gap_or_repeat(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    endings.ended["job"] = ending()
    streams.add("job", *(delta(number) for number in range(1, 20)), job_finished(20))
    for seen in range(20):
        client = Client()
        await asyncio.wait_for(connect(hub, client, f"{seen}-0" if seen else None), PATIENCE_SECONDS)
        assert numbers(ids(client.body)) == list(range(seen + 1, 21))


async def test_a_client_that_resumes_before_history_was_read_gets_no_repeat(hub: Hub, streams: FakeStreams) -> None:
    client = Client()
    connection = connect(hub, client, "2-0")
    await client.until(b"retry")
    streams.add("job", delta(1), delta(2))
    await asyncio.sleep(0.01)
    streams.add("job", delta(3))
    await client.until(b"id: 3-0")
    assert ids(client.body) == ["3-0"]
    client.has_left.set()
    await asyncio.wait_for(connection, PATIENCE_SECONDS)


async def test_a_client_that_has_seen_the_end_is_told_not_to_come_back(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    endings.ended["job"] = ending()
    streams.add("job", delta(1), job_finished(2))
    client = Client()
    await asyncio.wait_for(connect(hub, client, "2-0", has_ended=True), PATIENCE_SECONDS)
    assert client.status == 204


async def test_a_client_that_leaves_is_noticed_at_once(hub: Hub) -> None:
    client = Client()
    connection = connect(hub, client)
    await client.until(b"retry")
    client.has_left.set()
    await asyncio.wait_for(connection, PATIENCE_SECONDS)
    assert hub.reader_count == 0


async def test_a_server_that_stops_ends_its_streams(hub: Hub) -> None:
    client = Client()
    connection = connect(hub, client)
    await client.until(b"retry")
    hub.close()
    await asyncio.wait_for(connection, PATIENCE_SECONDS)
    assert client.is_complete


async def test_a_quiet_stream_has_heartbeats(
    streams: FakeStreams, endings: FakeEndings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "HEARTBEAT_SECONDS", 0.01)
    hub = Hub(streams, endings)
    async with hub.running():
        client = Client()
        connection = connect(hub, client)
        await client.until(b": still here\n: still here\n")
        client.has_left.set()
        await asyncio.wait_for(connection, PATIENCE_SECONDS)


async def test_a_slow_client_holds_up_nobody(hub: Hub, streams: FakeStreams, endings: FakeEndings) -> None:
    slow, quick = Client(), Client()
    slow_connection, quick_connection = connect(hub, slow), connect(hub, quick)
    await slow.until(b"retry")
    await quick.until(b"retry")
    slow.takes.clear()
    endings.ended["job"] = ending()
    for number in range(1, 50):
        streams.add("job", delta(number))
        await asyncio.sleep(0)
    streams.add("job", job_finished(50))
    await asyncio.wait_for(quick_connection, PATIENCE_SECONDS)
    assert numbers(ids(quick.body)) == list(range(1, 51))
    slow.takes.set()
    await asyncio.wait_for(slow_connection, PATIENCE_SECONDS)
    assert numbers(ids(slow.body)) == list(range(1, 51))


async def test_one_that_takes_nothing_is_cut_off_without_a_fault(
    streams: FakeStreams, endings: FakeEndings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(hubs, "STUCK_SECONDS", 0.05)
    hub = Hub(streams, endings)
    async with hub.running():
        client = Client()
        connection = connect(hub, client)
        await client.until(b"retry")
        client.takes.clear()
        await asyncio.wait_for(connection, PATIENCE_SECONDS)
        assert not client.is_complete
        assert hub.reader_count == 0
