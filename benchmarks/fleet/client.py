"""JSON over one blocking keep-alive connection: nothing of an event loop is in the times."""

import http.client
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson

TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and from the first byte sent to the last byte read: `seconds`."""

    status: int
    document: dict[str, Any]
    seconds: float


class Client:
    """One connection to one server, one request after the other."""

    def __init__(self, host: str, port: int, key: str | None = None) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})

    def get(self, path: str) -> Reply:
        """Raises OSError or http.client.HTTPException where nobody answers."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Reply:
        """Raises what `get` raises."""
        return self._ask("POST", path, orjson.dumps(body))

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> Reply:
        began = time.perf_counter()
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        said = answer.read()
        seconds = time.perf_counter() - began
        return Reply(answer.status, orjson.loads(said), seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def said(reply: Reply, expected: int = 200) -> dict[str, Any]:
    """The document of an answer that is as expected.

    Raises:
        RuntimeError: it is another: a figure with it would be a lie.
    """
    if reply.status != expected:
        raise RuntimeError(f"answered {reply.status} instead of {expected}: {reply.document}")
    return reply.document
