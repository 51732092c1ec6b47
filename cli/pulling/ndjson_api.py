"""An HTTP server that answers in JSON, or in JSON a line for as long as it works."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2
import orjson

from cli.printable import printable
from common.errors import BadUpstream, ProviderError, Timeout, Unavailable, UpstreamDenied, UpstreamRejected
from common.providers.http import Proxies, http_client
from common.providers.ndjson import LineBuffer, LineTooLong
from common.storable import storable

ANSWER_SECONDS = 15.0
# Servers report several times a second while they download. To check what has come they read it all again
# in silence: forty gigabytes of it, from a slow disk.
SILENCE_SECONDS = 600.0
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_DETAIL_BYTES = 400


class NdjsonApi:
    """One server; `name` is what errors call it."""

    def __init__(self, name: str, base_url: str, proxies: Proxies) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._client = http_client(base_url, proxies)

    async def get(self, path: str) -> Any:
        """A document; None where the server has none of that path, or it is no JSON.

        Raises:
            ProviderError: the server is away, or refuses.
        """
        request = self._client.build_request("GET", self.base_url + path)
        async with self._within(ANSWER_SECONDS), aclosing(await self._send(request)) as response:
            body = await self._beginning(response, MAX_BODY_BYTES)
        if response.status_code == httpx2.codes.NOT_FOUND:
            return None
        if response.is_error:
            raise self.refused(response.status_code, body)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            return None

    async def post(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The lines of the answer, each a JSON object, until the server ends it.

        Raises:
            ProviderError: the server is away, refuses, breaks off, falls silent, or sends something else.
        """
        request = self._client.build_request(
            "POST", self.base_url + path, json=body, headers={"accept": "application/json"}
        )
        lines = LineBuffer()
        async with self._within(SILENCE_SECONDS):
            response = await self._send(request)
        async with aclosing(response), aclosing(response.aiter_bytes()) as pieces:
            if response.is_error:
                async with self._within(ANSWER_SECONDS):
                    raise self.refused(response.status_code, await self._beginning(response, MAX_DETAIL_BYTES))
            while True:
                async with self._within(SILENCE_SECONDS):
                    piece = await self._next(pieces)
                for line in self._cut(lines, piece):
                    yield self._document(line)
                if piece is None:
                    break

    def refused(self, status: int, said: bytes) -> ProviderError:
        """The error for a response of this status."""
        detail = presentable(said.decode(errors="replace"))
        if status in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
            return UpstreamDenied(f"{self.name} refused ({status}): {detail}")
        kind = Unavailable if httpx2.codes.is_server_error(status) else UpstreamRejected
        return kind(f"{self.name} answered {status}: {detail}")

    async def close(self) -> None:
        """Release connections."""
        await self._client.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._client.send(request, stream=True)
        except httpx2.RequestError as error:
            reason = presentable(str(error)) or type(error).__name__
            raise Unavailable(f"{self.name} cannot be reached at {self.base_url} ({reason}).") from error

    async def _beginning(self, response: httpx2.Response, longest: int) -> bytes:
        body = bytearray()
        async with aclosing(response.aiter_bytes()) as pieces:
            while len(body) <= longest and (piece := await self._next(pieces)) is not None:
                body += piece
        return bytes(body[:longest])

    async def _next(self, pieces: AsyncGenerator[bytes]) -> bytes | None:
        try:
            return await anext(pieces, None)
        except httpx2.RequestError as error:
            raise BadUpstream(f"{self.name} broke the connection off.") from error

    def _cut(self, lines: LineBuffer, piece: bytes | None) -> list[bytes]:
        try:
            return list(lines.end() if piece is None else lines.feed(piece))
        except LineTooLong as error:
            raise BadUpstream(f"{self.name} sent {error}.") from error

    def _document(self, line: bytes) -> dict[str, Any]:
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            said = presentable(line.decode(errors="replace"))
            raise BadUpstream(f"{self.name} sent something that is no progress: {said}")
        return document

    @asynccontextmanager
    async def _within(self, seconds: float) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise Timeout(f"{self.name} said nothing for {seconds:g} s.") from None


def presentable(text: str) -> str:
    """A server's own words: in one line, bounded, and harmless to a terminal."""
    return " ".join(printable(storable(text)).split())[:MAX_DETAIL_BYTES]
