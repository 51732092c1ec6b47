"""A request as it comes in: uvicorn's HTTP, with an end to how much a head may say and how long a client may be silent.

By itself uvicorn waits for ever for the rest of a request, or for the first byte of one, and keeps whatever headers it
is sent; and a connection that it closes stays open for as long as its client does not read what was said last. A few
thousand such clients would take every file that the process may open.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Longer than any proxy waits for us; an upload that moves is never silent for as long, nor a download ever still.
SILENT_SECONDS = 60.0
# Some 30 times what the largest client sends; above it somebody fills memory.
MAX_HEAD_BYTES = 65_536


class BoundedHttp(HttpToolsProtocol):
    """One connection. Between requests it is uvicorn's own timer that ends it."""

    silent_seconds = SILENT_SECONDS

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._is_receiving = self._is_in_head = True
        self._head_bytes = 0
        self._heard_at = 0.0
        self._unread_bytes = -1
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn's own narrowing
        self._heard_at = self.loop.time()
        self._look_later(self.silent_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._looking is not None:
            self._looking.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_receiving:
            self._heard_at = self.loop.time()
            # still in the head: all of it was head
            self._head_bytes += len(data) if self._is_in_head else 0
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"The request's head is larger than {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_receiving = self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_receiving = False
        super().on_message_complete()

    def _look_later(self, seconds: float) -> None:
        self._looking = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Is the rest of a request overdue, or has nothing been read of what is left to be sent?"""
        if self.transport.is_closing():
            unread_bytes = self.transport.get_write_buffer_size()
            if unread_bytes == self._unread_bytes:
                self.transport.abort()
                return
            self._unread_bytes = unread_bytes
        # while it is we who do not read, the rest may be overdue
        is_waiting = self._is_receiving and not self.flow.read_paused
        silent_seconds = self.loop.time() - self._heard_at if is_waiting else 0.0
        if silent_seconds >= self.silent_seconds:
            self.transport.close()
            silent_seconds = 0.0
        self._look_later(self.silent_seconds - silent_seconds)
