import asyncio

import httpx
import pytest

from cli.client import Client
from cli.exits import ServerRefused, ServerUnreachable
from cli.watch import MAX_EMPTY_STREAMS, Event, Patience, changes, watch
from tests.unit.cli.fake_server import JOB_ID, PATH, FakeServer, answer, document, failed, problem

FINAL = document(answer("a"), answer("b", "Rayleigh"))
EVENTS = f"{PATH}/events"


async def seen(client: Client, patience_seconds: float = 60) -> list[Event]:
    patience = Patience(patience_seconds, first_pause_seconds=0.001, max_pause_seconds=0.002)
    async with client, asyncio.timeout(10):
        return [event async for event in watch(client, JOB_ID, patience)]


async def test_every_event_arrives_in_order() -> None:
    server = FakeServer(FINAL)
    assert [(event.name, event.data) for event in await seen(server.client())] == server.events


@pytest.mark.parametrize("lengths", [[1], [3, 1, 2], [1] * 9, [0, 4, 0, 0, 2]])
async def test_cut_connections_leave_no_gap_and_no_repeat(lengths: list[int]) -> None:
    server = FakeServer(FINAL, stream_lengths=lengths)
    assert [(event.name, event.data) for event in await seen(server.client())] == server.events
    assert len(server.asked("GET", EVENTS)) == len(lengths) + 1


async def test_a_server_that_does_not_stream_is_polled() -> None:
    server = FakeServer(FINAL)
    server.on("GET", EVENTS, lambda _: problem(503, "no broker"))
    names = [event.name for event in await seen(server.client())]
    assert names == ["job.status", "call.finished", "call.finished", "job.finished"]


async def test_something_that_buffers_streams_is_found_out() -> None:
    server = FakeServer(FINAL)
    stream = {"headers": {"content-type": "text/event-stream"}, "content": b"retry: 1000\n\n"}
    server.on("GET", EVENTS, lambda _: httpx.Response(200, **stream))
    events = await seen(server.client())
    assert events[-1] == Event("job.finished", FINAL)
    assert len(server.asked("GET", EVENTS)) == MAX_EMPTY_STREAMS


async def test_polling_asks_for_changes_only() -> None:
    server = FakeServer(FINAL)
    running = document(answer("a"), answer("b", None, status="running"), status="running")
    states = iter([(200, running, '"1"'), (304, None, '"1"'), (200, FINAL, '"2"')])

    def poll(request: httpx.Request) -> httpx.Response:
        status, body, etag = next(states)
        return httpx.Response(status, json=body, headers={"etag": etag})

    server.on("GET", EVENTS, lambda _: problem(404, "no such route"))
    server.on("GET", PATH, poll)
    events = await seen(server.client())
    assert [one.headers.get("if-none-match") for one in server.asked("GET", PATH)] == [None, '"1"', '"1"']
    assert [event.name for event in events] == [
        *("job.status", "call.finished", "call.started"),
        *("job.status", "call.finished", "job.finished"),
    ]


async def test_a_server_that_stays_away_is_given_up() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    server = FakeServer(FINAL)
    server.on("GET", EVENTS, refuse)
    with pytest.raises(ServerUnreachable, match="Connection refused"):
        await seen(server.client(), patience_seconds=0.01)


async def test_a_database_that_is_away_for_a_while_is_waited_for() -> None:
    server = FakeServer(FINAL)
    states = iter([problem(503, "The database is away."), httpx.Response(200, json=FINAL)])
    server.on("GET", EVENTS, lambda _: problem(503, "The database is away."))
    server.on("GET", PATH, lambda _: next(states))
    assert (await seen(server.client()))[-1].name == "job.finished"


async def test_a_job_that_does_not_exist_is_refused() -> None:
    server = FakeServer(FINAL)
    for path in (PATH, EVENTS):
        server.on("GET", path, lambda _: problem(404, "No job of that id."))
    with pytest.raises(ServerRefused, match="No job"):
        await seen(server.client())


def test_changes_name_only_the_calls_that_moved() -> None:
    before = document(answer("a"), answer("b", None, status="running"), status="running")
    after = document(answer("a"), failed("b"), status="partial")
    names = [(event.name, event.data.get("model")) for event in changes(before, after)]
    assert names == [("job.status", None), ("call.failed", "b"), ("job.finished", None)]
