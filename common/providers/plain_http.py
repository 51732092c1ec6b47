"""A server spoken to without an SDK: its responses piece by piece, the connection's faults in our tree."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2

from common.errors import ProviderError
from common.providers.foreign_errors import broken_connection, presentable


class PlainHttp:
    """Sends over `client`, which remains the caller's to close. No error shows the `secret`."""

    def __init__(self, server: str, client: httpx2.AsyncClient, secret: str | None = None) -> None:
        self._server = server
        self._client = client
        self._secret = secret

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The response, of which the headers have come; the caller reads and closes it.

        A cancellation until then closes the connection, by which the server knows.

        Raises:
            ProviderError: there is none. Whatever its status, a response is no error here.
        """
        try:
            return await self._client.send(request, stream=True)
        except httpx2.RequestError as error:
            raise self._broken(error) from error

    async def next_piece(self, pieces: AsyncGenerator[bytes]) -> bytes | None:
        """The next bytes of a body, or None after the last.

        Raises:
            ProviderError: the connection broke.
        """
        try:
            return await anext(pieces, None)
        except httpx2.RequestError as error:
            raise self._broken(error) from error

    async def beginning(self, response: httpx2.Response, longest: int) -> bytes:
        """The body, or that many bytes of it.

        Raises:
            ProviderError: as `next_piece`.
        """
        body = bytearray()
        async with aclosing(response.aiter_bytes()) as pieces:
            while len(body) < longest and (piece := await self.next_piece(pieces)) is not None:
                body += piece
        return bytes(body[:longest])

    def _broken(self, error: httpx2.RequestError) -> ProviderError:
        return broken_connection(self._server, error, presentable(str(error), self._secret))
