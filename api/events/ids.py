"""Ids of events, and their order.

An event from Redis has its stream entry's id, `MILLISECONDS-SEQUENCE`. One made from Postgres, because
the stream is gone, is `pg-N`: the same job gives the same numbers, so that a watcher resumes.
"""

import math

Order = tuple[float, float]

BEGINNING: Order = (0, 0)
LAST: Order = (math.inf, math.inf)
MAX_DIGITS = 20


def order_of(event_id: str) -> Order:
    """Where an id stands among a job's events: what Postgres has to add comes after all of the stream.

    An id that is none of ours stands at the beginning: its watcher gets everything. A browser sends
    what it was given and could not correct a refusal.
    """
    first, _, second = event_id.partition("-")
    if first == "pg" and _is_number(second):
        return (math.inf, int(second))
    if _is_number(first) and _is_number(second or "0"):
        return (int(first), int(second or "0"))
    return BEGINNING


def postgres_id(number: int) -> str:
    """The id of the nth event made from Postgres, counted from 1."""
    return f"pg-{number}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
