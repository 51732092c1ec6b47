from hypothesis import given
from hypothesis import strategies as st

from common.admission.room import GRANTED, LEASE_SECONDS, SEEN_SECONDS, TURNED_AWAY, Room

NOBODY = 0


def look(room: Room, token: str, now: float = 0.0, *, slots: int = 1, max_ahead: int = 9, handicap: float = 0) -> int:
    return room.look(token, slots, max_ahead, handicap, now)


def test_who_comes_first_is_served_first() -> None:
    room = Room()
    assert look(room, "a", 0) == GRANTED
    assert look(room, "b", 1) == NOBODY
    assert look(room, "c", 2) == 1
    room.leave("a")
    assert look(room, "c", 3) == NOBODY
    assert look(room, "b", 3) == GRANTED
    assert look(room, "b", 3) == GRANTED  # whoever asks twice has one slot


def test_a_job_lets_chats_go_first_that_come_soon_after_it_and_no_others() -> None:
    room = Room()
    look(room, "holder", 0)
    assert look(room, "job", 1, handicap=3) == 0
    assert look(room, "chat", 3.9) == 0
    assert look(room, "job", 3.9, handicap=3) == 1
    assert look(room, "late", 4.1) == 2


def test_a_line_that_is_too_long_turns_newcomers_away_and_nobody_else() -> None:
    room = Room()
    look(room, "holder", 0)
    assert look(room, "a", 1, max_ahead=1) == 0
    assert look(room, "b", 2, max_ahead=1) == TURNED_AWAY
    assert look(room, "job", 0, max_ahead=10) == 0
    assert look(room, "a", 3, max_ahead=1) == 1
    assert look(room, "c", 4, max_ahead=10) == 2  # behind the job and a: b has no place


def test_who_leaves_the_line_holds_nobody_up() -> None:
    room = Room()
    look(room, "holder", 0)
    look(room, "a", 1)
    assert look(room, "b", 2) == 1
    room.leave("a")
    assert look(room, "b", 3) == 0


def test_who_looks_again_and_again_keeps_its_place() -> None:
    room = Room()
    look(room, "holder", 0)
    for now in range(1, 20, 3):
        assert look(room, "a", now) == 0
        assert look(room, "b", now + 1) == 1


def test_the_dead_leave_their_slots_and_their_places() -> None:
    room = Room()
    look(room, "holder", 0)
    look(room, "dies in line", 0)
    assert look(room, "waits", SEEN_SECONDS + 1) == 0
    assert look(room, "waits", LEASE_SECONDS - 1) == 0
    room.renew("holder", LEASE_SECONDS - 1)
    assert look(room, "waits", LEASE_SECONDS + 1) == 0
    assert look(room, "waits", 2 * LEASE_SECONDS) == GRANTED


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.floats(0, 20)), max_size=80),
    st.integers(1, 4),
)
def test_no_more_hold_a_slot_than_there_are(steps: list[tuple[int, bool, float]], slots: int) -> None:
    room, now, holders = Room(), 0.0, dict[str, float]()
    for who, leaves, pause in steps:
        now += pause
        holders = {name: until for name, until in holders.items() if until > now}
        token = str(who)
        if leaves:
            room.leave(token)
            holders.pop(token, None)
        elif look(room, token, now, slots=slots) == GRANTED:
            holders.setdefault(token, now + LEASE_SECONDS)
        assert len(holders) <= slots
