"""Cursors of lists: opaque to callers, so that what they hold may change."""

import base64
import binascii
from uuid import UUID

from common.errors import InvalidInput

UUID_BYTES = 16


def encode_cursor(last: UUID) -> str:
    """A cursor that continues just below this id."""
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> UUID:
    """The id that a cursor continues below.

    Raises:
        InvalidInput: it is none of ours.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != UUID_BYTES:
        raise InvalidInput("Not a cursor: take `next_cursor` of the page before.", field="cursor")
    return UUID(bytes=raw)
