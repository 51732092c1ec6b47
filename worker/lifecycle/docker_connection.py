"""HTTP to a Docker engine: where it is, which version of its API we speak, and when it counts as away."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from worker.lifecycle.engine_errors import EngineAway, EngineRefused, EngineTooOld, bounded

DEFAULT_HOST = "unix:///var/run/docker.sock"
# One-shot statistics came with 1.41 (Debian's engine, 20.10); what we ask for has not changed since. A newer engine
# is asked in the newest version that was tried.
OLDEST, NEWEST = (1, 41), (1, 51)

CONNECT_SECONDS = 3.0
# More at once would only wait in the engine.
CONNECTIONS = 32
MAX_ANSWER_BYTES = 16 * 1024 * 1024
BAD = 400

_LOST = (aiohttp.ClientError, TimeoutError, OSError)


class DockerConnection:
    """Belongs to an event loop. Connects when first asked, and again after whatever went wrong.

    Everything raises `EngineAway` where nobody answers in time, and `EngineRefused` where the engine says no.
    """

    def __init__(self, host: str | None, patience_seconds: float) -> None:
        """`host` as DOCKER_HOST has it: unix://PATH, tcp://HOST:PORT or http://HOST:PORT."""
        self._patience_seconds = patience_seconds
        self.host = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self._scheme, _, self._rest = self.host.partition("://")
        self._session: aiohttp.ClientSession | None = None
        self._version: str | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def json(
        self, method: str, path: str, parameters: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Any:
        """The document that the engine answers with; None if it has nothing to say."""
        async with self.asked(method, path, parameters, body, within=self._patience_seconds) as answer:
            said = await _whole(answer)
            return self.document(said) if said else None

    def document(self, said: bytes) -> Any:
        """What it said in JSON; where it is something else, something else listens there."""
        try:
            return orjson.loads(said)
        except orjson.JSONDecodeError as error:
            raise self._no_engine() from error

    @asynccontextmanager
    async def asked(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        within: float | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer, to be read inside. It has to end `within` seconds, and come on after `silence`."""
        patience = aiohttp.ClientTimeout(total=within, sock_connect=CONNECT_SECONDS, sock_read=silence)
        try:
            url = self._url(f"{await self._negotiated()}/{path}")
            session = self._opened()
            async with session.request(method, url, params=parameters, json=body, timeout=patience) as answer:
                if answer.status >= BAD:
                    raise EngineRefused(answer.status, _reason(await _whole(answer)))
                yield answer
        except _LOST as error:
            # What comes back may be another engine: its version is asked for again.
            self._version = None
            why = bounded(str(error)) or type(error).__name__
            raise EngineAway(
                f"The Docker engine at {self.host} does not answer ({why}): see that it runs, that DOCKER_HOST names"
                " it, and that this user may use it."
            ) from error

    async def _negotiated(self) -> str:
        """The newest version of the API that both sides speak, as it stands in a path."""
        if self._version is None:
            patience = aiohttp.ClientTimeout(total=self._patience_seconds, sock_connect=CONNECT_SECONDS)
            async with self._opened().get(self._url("version"), timeout=patience) as answer:
                said = self.document(await _whole(answer))
            try:
                common = _common(said["MinAPIVersion"], said["ApiVersion"])
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise self._no_engine() from error
            self._version = "v{}.{}".format(*common)
        return self._version

    def _no_engine(self) -> EngineAway:
        return EngineAway(f"What answers at {self.host} is no Docker engine: see that DOCKER_HOST names one.")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = (
                aiohttp.UnixConnector(self._rest, limit=CONNECTIONS)
                if self._scheme == "unix"
                else aiohttp.TCPConnector(limit=CONNECTIONS)
            )
            self._session = aiohttp.ClientSession(connector=connector, json_serialize=_dump)
        return self._session

    def _url(self, path: str) -> str:
        authority = {"unix": "http://docker", "tcp": f"http://{self._rest}"}.get(self._scheme, self.host)
        return f"{authority.rstrip('/')}/{path}"


def _common(oldest: str, newest: str) -> tuple[int, int]:
    theirs_oldest, theirs_newest = _version(oldest), _version(newest)
    if theirs_newest < OLDEST or theirs_oldest > NEWEST:
        raise EngineTooOld(
            f"The Docker engine speaks versions {oldest} to {newest} of its API, and we speak"
            f" {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}: use an engine from 20.10 on."
        )
    return min(theirs_newest, NEWEST)


def _version(said: str) -> tuple[int, int]:
    major, minor = said.split(".")
    return int(major), int(minor)


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise EngineRefused(answer.status, f"it answered with more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _reason(said: bytes) -> str:
    try:
        return str(orjson.loads(said)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return said.decode(errors="replace")


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()
