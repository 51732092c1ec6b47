"""Cursors of lists: opaque to callers, so that what they hold may change."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

from common.errors import InvalidInput

UUID_BYTES = 16
MOMENT_BYTES = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def encode_cursor(last: UUID) -> str:
    """A cursor that continues just below this id."""
    return _encode(last.bytes)


def decode_cursor(cursor: str) -> UUID:
    """The id that a cursor continues below.

    Raises:
        InvalidInput: it is none of ours.
    """
    return UUID(bytes=_decode(cursor, UUID_BYTES))


def encode_moment_cursor(moment: datetime, last: UUID) -> str:
    """A cursor that continues just below this moment, and at the same moment just below this id."""
    return _encode(((moment - EPOCH) // MICROSECOND).to_bytes(MOMENT_BYTES) + last.bytes)


def decode_moment_cursor(cursor: str) -> tuple[datetime, UUID]:
    """The moment and the id that a cursor continues below.

    Raises:
        InvalidInput: it is none of ours.
    """
    raw = _decode(cursor, MOMENT_BYTES + UUID_BYTES)
    try:
        moment = EPOCH + int.from_bytes(raw[:MOMENT_BYTES]) * MICROSECOND
    except OverflowError:
        raise _not_ours() from None
    return moment, UUID(bytes=raw[MOMENT_BYTES:])


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(cursor: str, size: int) -> bytes:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != size:
        raise _not_ours()
    return raw


def _not_ours() -> InvalidInput:
    return InvalidInput("Not a cursor: take `next_cursor` of the page before.", field="cursor")
