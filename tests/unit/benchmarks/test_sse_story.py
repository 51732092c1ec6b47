from collections.abc import AsyncIterator

import orjson
import pytest

from benchmarks.sse_fanout import Event, faults, parse


def event(number: int, name: str, **data: object) -> Event:
    return Event(f"{number}-0", name, orjson.dumps(data).decode())


STORY = [
    event(1, "call.started", call="c", attempt=1),
    event(2, "call.delta", call="c", text="no"),
    event(3, "call.reset", call="c", attempt=2),
    event(4, "call.delta", call="c", text="all "),
    event(5, "call.delta", call="c", text="well"),
    event(6, "call.finished", call="c", answer={"text": "all well"}),
    event(7, "job.finished"),
]


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_watchers_that_saw_the_same_whole_story_have_no_fault() -> None:
    assert faults([STORY, STORY, STORY]) == []


@pytest.mark.parametrize(
    ("story", "fault"),
    [
        (STORY[:4] + STORY[5:], "a delta is missing or doubled: c"),
        (STORY[:5] + STORY[4:], "ids are not strictly ascending"),
        ([*STORY[:3], STORY[4], STORY[3], *STORY[5:]], "ids are not strictly ascending"),
    ],
)
def test_a_gap_a_repeat_and_another_order_are_faults(story: list[Event], fault: str) -> None:
    assert fault in faults([story, story])


def test_a_watcher_that_missed_one_event_is_named() -> None:
    assert faults([STORY, STORY[1:], STORY]) == ["watcher 1 saw another story than the last"]


async def test_events_are_parsed_wherever_the_stream_is_cut() -> None:
    whole = b": hello\r\n\r\nid: 1-0\r\nevent: job.status\r\ndata: {}\r\n\r\nid: 2-0\ndata: a\ndata: b\n\nid: 3-0\n"
    told = [Event("1-0", "job.status", "{}"), Event("2-0", "message", "a\nb")]
    for cut in range(len(whole)):
        assert [event async for event in parse(pieces(whole[:cut], whole[cut:]))] == told
