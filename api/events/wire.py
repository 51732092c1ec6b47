"""Server-Sent Events as bytes.

What is no event ends with one newline, not two: the empty line would have some clients report an event
without data.
"""

HEARTBEAT = b": still here\n"
# How long a browser waits before it comes back: a dropped reader is welcome soon, a thousand are not at once.
OPENING = b"retry: 1000\n"


def render(event_id: str, name: str, data: bytes) -> bytes:
    """One event. `data` is JSON on one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), data)
