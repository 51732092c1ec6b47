"""A request as it comes in: uvicorn's HTTP, with an end to how much a head may say and how long a client may be silent.

By itself uvicorn waits for ever for the rest of a request, or for the first byte of one, and keeps whatever headers it
is sent: a few thousand connections that say nothing would take every file that the process may open.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Longer than any proxy waits for us; an upload that moves is never silent for as long.
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
        if self._looking is None:
            self._look_later(self.silent_seconds)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_receiving = False
        super().on_message_complete()

    def _look_later(self, seconds: float) -> None:
        self._looking = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Is the rest of a request overdue? While it is we who do not read, it may be."""
        self._looking = None
        if not self._is_receiving:
            return
        silent_seconds = 0.0 if self.flow.read_paused else self.loop.time() - self._heard_at
        if silent_seconds >= self.silent_seconds:
            self.transport.close()
        else:
            self._look_later(self.silent_seconds - silent_seconds)
