"""Asking the server inside a container how it is, and whether it generates."""

from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from pydantic import ValidationError

from common.catalog.local import LocalModel
from common.fleet.contracts import Fault, RunnerHealth
from common.fleet.engines import RUNNERS, name_in_container
from worker.lifecycle.foreign import Idling, work_of

# A ready runner answers at once, even at work; one that loads may hold the interpreter for a while.
HEALTH_SECONDS = 2.0
# The first token of a large model on a slow host.
PROBE_SECONDS = 120.0
# vLLM's metrics are some hundred lines.
MAX_ANSWER_BYTES = 1024 * 1024

HELLO = [{"role": "user", "content": "Hello"}]

OK, NOT_YET = 200, 503
_LOST = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class NotYet:
    """It does not generate yet, and may soon."""

    reason: str


class Prober:
    """Belongs to an event loop. Of foreign engines, which know nothing of our contract, OpenAI's API is known."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._idling = Idling()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def health(self, entry: LocalModel | None, base_url: str) -> RunnerHealth | None:
        """What it says of itself; None if it says nothing that can be understood."""
        try:
            if entry is None or entry.engine in RUNNERS:
                _, said = await self._ask("GET", f"{base_url}/health", HEALTH_SECONDS)
                return RunnerHealth.model_validate_json(said)
            return await self._foreign_health(base_url)
        except (*_LOST, ValidationError):
            return None

    async def prove(self, entry: LocalModel, base_url: str) -> Fault | NotYet | None:
        """Have it generate a token; None if it did."""
        try:
            if entry.engine in RUNNERS:
                status, said = await self._ask("GET", f"{base_url}/ready", PROBE_SECONDS)
            else:
                body = {"model": name_in_container(entry), "max_tokens": 1, "messages": HELLO}
                status, said = await self._ask("POST", f"{base_url}/v1/chat/completions", PROBE_SECONDS, body)
        except _LOST as error:
            return NotYet(f"{type(error).__name__}: {error}")
        if status == OK:
            return None
        reason = said[:500].decode(errors="replace")
        return NotYet(reason) if status == NOT_YET else Fault("cannot_generate", f"It answered {status}: {reason}")

    def forget_all_but(self, base_urls: set[str]) -> None:
        """Servers that are gone are nobody's concern any more."""
        self._idling.forget_all_but(base_urls)

    async def _foreign_health(self, base_url: str) -> RunnerHealth:
        status, _ = await self._ask("GET", f"{base_url}/v1/models", HEALTH_SECONDS)
        if status != OK:
            return RunnerHealth(status="loading")
        _, said = await self._ask("GET", f"{base_url}/metrics", HEALTH_SECONDS)
        work = work_of(said.decode(errors="replace"))
        if work is None:
            return RunnerHealth(status="ready")
        idle_seconds = self._idling.seconds(base_url, work)
        return RunnerHealth(status="ready", in_flight=work.in_flight, waiting=work.waiting, idle_seconds=idle_seconds)

    async def _ask(self, method: str, url: str, within: float, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        if self._session is None:
            # what a container would have us remember is for nobody, and may be without end
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), json_serialize=lambda value: orjson.dumps(value).decode()
            )
        async with self._session.request(
            method, url, json=body, timeout=aiohttp.ClientTimeout(total=within), allow_redirects=False
        ) as answer:
            said = bytearray()
            async for piece in answer.content.iter_any():
                said += piece
                if len(said) > MAX_ANSWER_BYTES:
                    break
            return answer.status, bytes(said[:MAX_ANSWER_BYTES])
