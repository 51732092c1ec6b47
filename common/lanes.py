"""Two lanes before every worker: who has much at work does not stand before who has little.

A queue of the broker is a list for each lane, and a poll names both, the front one first. An owner's first
few jobs travel in front, the others in the back: whatever one owner has sent ahead, another one's
job waits for no more than the calls that are being made already.
"""

from enum import IntEnum

# Jobs of one owner that travel in front. Few, for they are what others may have to wait for.
FRONT_JOBS = 20
# Calls of one owner that a sweep rings for in front, so that the back lane moves though the front one is never empty.
FRONT_CALLS = 100


class Lane(IntEnum):
    """The value is the priority of its messages, as the Redis transport counts: 0 goes first."""

    FRONT = 0
    BACK = 9


def lane_of(is_front: bool) -> Lane:
    """The lane, as statements name it."""
    return Lane.FRONT if is_front else Lane.BACK


def queue_key(queue: str, lane: Lane) -> str:
    """The Redis list in which a queue's messages of this lane wait: kombu's own naming."""
    return queue if lane is Lane.FRONT else f"{queue}\x06\x16{lane.value}"
