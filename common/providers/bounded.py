"""A transport whose responses have an end, whatever their server means by them.

SDKs take whatever comes: an event without end, the body of an error, an answer that is a thousand times as long once
it is unpacked. A deadline alone lets a server that is near send gigabytes until then.
"""

from collections.abc import AsyncIterator

import httpx2

# 131,072 tokens, the most that a call may ask for, an event each, of 1.5 kB; or 2,048 vectors of 3,072 numbers.
MAX_RESPONSE_BYTES = 192 * 1024 * 1024


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends over another transport, and breaks off where a response is longer than any answer."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, *, most_bytes: int = MAX_RESPONSE_BYTES) -> None:
        self._transport = transport
        self._most_bytes = most_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, of which the headers have come.

        Raises:
            httpx2.TransportError: as any transport; also for a response that is compressed, which nobody asked for.
        """
        response = await self._transport.handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream), "what comes over a connection is read as it comes"
        if response.headers.get("content-encoding", "identity") != "identity":
            await stream.aclose()
            raise httpx2.RemoteProtocolError("it compressed its answer, which it was asked not to")
        response.stream = _Bounded(stream, self._most_bytes)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most_bytes: int) -> None:
        self._stream = stream
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > self._most_bytes:
                raise httpx2.RemoteProtocolError(f"it sent more than {self._most_bytes} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
