import asyncio
from collections.abc import AsyncIterator

import pytest

from api.events import hub as hubs
from api.events.channel import Channel, Reader
from api.events.hub import Hub
from api.events.waiting import wait_for_end
from tests.unit.api.streams import FakeEndings, FakeStreams, call_finished, delta, ending, ids, job_finished, names

PATIENCE_SECONDS = 60


@pytest.fixture
def streams() -> FakeStreams:
    return FakeStreams()


@pytest.fixture
def endings() -> FakeEndings:
    return FakeEndings()


@pytest.fixture
async def hub(streams: FakeStreams, endings: FakeEndings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    monkeypatch.setattr(hubs, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(hubs, "RETRY_SECONDS", 0.01)
    hub = Hub(streams, endings)
    async with hub.running():
        yield hub


async def finished(channel: Channel) -> bytes:
    """Everything that was said, once the channel has closed."""
    reader = Reader()
    channel.readers.add(reader)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not channel.is_finished:
            await reader.woken()
    channel.readers.discard(reader)
    return channel.read(0)[0]


async def grown(channel: Channel, end: int) -> None:
    reader = Reader()
    channel.readers.add(reader)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while channel.end < end:
            await reader.woken()
    channel.readers.discard(reader)


async def test_history_and_what_comes_later_are_one_sequence(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    streams.add("job", delta(1), delta(2))
    with hub.watch("job") as channel:
        await grown(channel, 2)
        streams.add("job", delta(3))
        endings.ended["job"] = ending()
        streams.add("job", job_finished(4))
        assert ids(await finished(channel)) == ["1-0", "2-0", "3-0", "4-0"]


async def test_the_last_event_carries_the_whole_document_loaded_once(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    endings.ended["job"] = ending()
    streams.add("job", job_finished(1))
    with hub.watch("job") as one, hub.watch("job") as other:
        assert one is other
        assert b'data: {"the":"document"}' in await finished(one)
    assert endings.loads == 1


async def test_jobs_that_are_watched_later_are_read_at_once(hub: Hub, streams: FakeStreams) -> None:
    with hub.watch("quiet"):
        await asyncio.sleep(0.01)
        streams.streams["late"] = [delta(1)]  # no wake-up of the fake's own
        with hub.watch("late") as channel:
            await grown(channel, 1)


async def test_what_was_read_for_an_earlier_watcher_is_not_the_beginning_of_a_later_ones_story(
    hub: Hub, streams: FakeStreams
) -> None:
    streams.add("job", delta(1), delta(2))
    with hub.watch("job") as first:
        await grown(first, 2)
        streams.answers.clear()
        streams.add("job", delta(3))
        await asyncio.sleep(0.01)  # the answer, from 3 on, is on its way
    with hub.watch("job") as second:
        streams.answers.set()
        await grown(second, 3)
        assert ids(second.read(0)[0]) == ["1-0", "2-0", "3-0"]


async def test_a_job_that_nobody_watches_is_forgotten(hub: Hub) -> None:
    with hub.watch("job"):
        assert hub.job_count == 1
    assert hub.job_count == 0


async def test_an_ended_job_without_a_stream_is_told_from_postgres(hub: Hub, endings: FakeEndings) -> None:
    endings.ended["job"] = ending("c1", "c2")
    with hub.watch("job", has_ended=True) as channel:
        said = await finished(channel)
    assert names(said) == ["call.finished", "call.finished", "job.finished"]
    assert ids(said) == ["pg-1", "pg-2", "pg-3"]


async def test_a_job_whose_stream_was_lost_half_way_ends_with_what_was_not_said(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    streams.add("job", call_finished(1, "c1"), delta(2))
    with hub.watch("job") as channel:
        await grown(channel, 2)
        streams.streams.clear()
        endings.ended["job"] = ending("c1", "c2")
        said = await finished(channel)
    assert ids(said) == ["1-0", "2-0", "pg-2", "pg-3"]
    assert names(said)[-1] == "job.finished"


async def test_the_end_of_a_call_whose_worker_died_before_it_could_tell_is_told_before_the_jobs(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    endings.ended["job"] = ending("c1", "c2", "c3")
    streams.add("job", call_finished(1, "c1"), delta(2), call_finished(3, "c3"), job_finished(4))
    with hub.watch("job") as channel:
        said = await finished(channel)
        assert ids(said) == ["1-0", "2-0", "3-0", "pg-2", "pg-4"]
        assert names(said)[-2:] == ["call.finished", "job.finished"]
        assert channel.position_after("pg-2") == channel.end - 1
        assert channel.position_after("pg-4") == channel.end


async def test_while_redis_is_away_the_end_comes_from_postgres(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    streams.is_away = True
    with hub.watch("job") as channel:
        await asyncio.sleep(0.05)
        assert not channel.is_finished
        endings.ended["job"] = ending()
        assert names(await finished(channel)) == ["job.finished"]


async def test_reading_goes_on_when_redis_is_back(hub: Hub, streams: FakeStreams) -> None:
    streams.is_away = True
    with hub.watch("job") as channel:
        await asyncio.sleep(0.05)
        streams.is_away = False
        streams.add("job", delta(1))
        await grown(channel, 1)


async def test_a_document_that_cannot_be_loaded_is_waited_for(
    hub: Hub, streams: FakeStreams, endings: FakeEndings
) -> None:
    streams.add("job", job_finished(1))
    with hub.watch("job") as channel:
        await asyncio.sleep(0.05)
        assert not channel.is_finished
        endings.ended["job"] = ending()
        assert names(await finished(channel)) == ["job.finished"]


async def test_a_deleted_job_lets_its_watchers_go(hub: Hub, endings: FakeEndings) -> None:
    with hub.watch("job") as channel:
        endings.ended["job"] = None
        assert await finished(channel) == b""
        assert channel.finish is None


async def never() -> dict[str, str]:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


async def gone() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def test_waiting_ends_with_the_job(hub: Hub, streams: FakeStreams, endings: FakeEndings) -> None:
    waiting = asyncio.create_task(wait_for_end(hub, "job", PATIENCE_SECONDS, never))
    await asyncio.sleep(0.01)
    endings.ended["job"] = ending()
    streams.add("job", job_finished(1))
    finish = await waiting
    assert finish is not None
    assert finish.document == b'{"the":"document"}'


async def test_waiting_ends_with_its_time(hub: Hub) -> None:
    assert await wait_for_end(hub, "job", 0.01, never) is None
    assert hub.job_count == 0


async def test_waiting_ends_when_the_client_goes(hub: Hub) -> None:
    assert await asyncio.wait_for(wait_for_end(hub, "job", 300, gone), PATIENCE_SECONDS) is None


async def test_waiting_ends_when_the_server_stops(hub: Hub) -> None:
    waiting = asyncio.create_task(wait_for_end(hub, "job", 300, never))
    await asyncio.sleep(0.01)
    hub.close()
    assert await asyncio.wait_for(waiting, PATIENCE_SECONDS) is None
