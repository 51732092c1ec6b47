import asyncio

import pytest

from api.events import channel as channels
from api.events.channel import Channel, Finish, Reader
from api.events.wire import render

FINISH = Finish(b'{"status":"completed"}', "digest")


def filled(count: int) -> Channel:
    channel = Channel("job")
    for number in range(1, count + 1):
        channel.append(f"{number}-0", "call.delta", b'{"text":"%d"}' % number)
    return channel


def everything(channel: Channel, position: int = 0) -> bytes:
    read = b""
    while True:
        chunk, position = channel.read(position)
        if not chunk:
            return read
        read += chunk


def test_a_reader_gets_every_event_once_and_in_order() -> None:
    expected = b"".join(render(f"{number}-0", "call.delta", b'{"text":"%d"}' % number) for number in range(1, 6))
    assert everything(filled(5)) == expected


def test_a_large_history_is_read_in_chunks_of_bounded_size() -> None:
    channel = Channel("job")
    for number in range(300):
        channel.append(f"{number + 1}-0", "call.delta", b"x" * 1000)
    chunk, position = channel.read(0)
    assert len(chunk) < channels.CHUNK_BYTES + 2000
    assert 0 < position < 300
    assert everything(channel).count(b"\nevent: ") == 300


def test_readers_at_one_place_share_what_was_joined() -> None:
    channel = filled(5)
    assert channel.read(2)[0] is channel.read(2)[0]


def test_what_was_joined_grows_with_the_channel() -> None:
    channel = filled(2)
    channel.read(0)
    channel.append("3-0", "call.delta", b"{}")
    assert channel.read(0)[1] == 3


@pytest.mark.parametrize(
    ("seen", "position"), [(None, 0), ("", 0), ("nonsense", 0), ("1-0", 1), ("3-0", 3), ("2-5", 2), ("9-0", 3)]
)
def test_a_watcher_resumes_after_what_it_has_seen(seen: str | None, position: int) -> None:
    assert filled(3).position_after(seen) == position


def test_whoever_has_seen_the_last_event_has_seen_everything() -> None:
    channel = filled(3)
    channel.end_with("4-0", FINISH)
    assert channel.position_after("4-0") == channel.end


def test_whoever_has_not_seen_the_last_event_gets_it_whatever_clock_its_ids_came_from() -> None:
    channel = filled(3)
    channel.end_with("4-0", FINISH)
    for seen in ("3-0", "99999999999999-0", "pg-7"):
        chunk, _ = channel.read(channel.position_after(seen))
        assert b"event: job.finished" in chunk


def test_a_reader_that_fell_behind_by_a_whole_history_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MAX_EVENTS", 10)
    channel = filled(25)
    with pytest.raises(LookupError):
        channel.read(5)
    assert channel.position_after(None) == 15
    assert everything(channel, 15).count(b"\nevent: ") == 10
    assert channel.position_after("20-0") == 20


async def test_a_reader_sleeps_until_something_is_new() -> None:
    channel = filled(1)
    reader = Reader()
    channel.readers.add(reader)
    sleeping = asyncio.create_task(reader.woken())
    await asyncio.sleep(0)
    assert not sleeping.done()
    channel.wake()
    assert await asyncio.wait_for(sleeping, 10) == b""


async def test_a_client_that_takes_nothing_is_let_go() -> None:
    held = asyncio.Event()

    async def write() -> None:
        nonlocal reader
        reader = Reader()
        reader.sending_since = -1000.0
        held.set()
        await asyncio.Event().wait()

    reader: Reader
    writing = asyncio.create_task(write())
    await held.wait()
    reader.drop_if_stuck(30)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(writing, 10)
