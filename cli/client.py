"""A thin client of the HTTP interface. Documents stay as the server sent them; the rest are values."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from cli.exits import KeyMalformed, ServerRefused, ServerUnreachable
from common.contracts.analyses import AnalysisPage, AnalysisRequest, JobAccepted
from common.contracts.dead_letters import DeadPage
from common.contracts.jobs import TERMINAL

Document = dict[str, Any]

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0
# The server writes a comment every 15 s to a stream where nothing happens: three missed are a dead line.
STREAM_SILENCE_SECONDS = 45.0
# Pauses before a submission is sent again: a restarting server is back within them.
SUBMIT_PAUSES_SECONDS = (0.5, 2.0, 5.0)
MAX_RETRY_AFTER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go, and the key they carry."""

    url: str
    key: str | None = None


class StreamRefused(Exception):
    """The server, or something before it, does not stream events: poll instead."""


class Client:
    """Requests to one server; close it by leaving its context.

    Every method raises `ServerUnreachable` when nobody answers and `ServerRefused`, with the server's
    own explanation, when the answer is no.
    """

    def __init__(
        self,
        server: Server,
        transport: httpx.AsyncBaseTransport | None = None,
        submit_pauses_seconds: Sequence[float] = SUBMIT_PAUSES_SECONDS,
    ) -> None:
        self._submit_pauses = submit_pauses_seconds
        self._url = server.url
        try:
            self._http = httpx.AsyncClient(
                base_url=server.url,
                headers=_authorization(server.key),
                transport=transport,
                timeout=httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
                # a proxy of the environment's would not find our own machine
                trust_env=not is_loopback(server.url),
            )
        except httpx.InvalidURL as error:
            raise ServerUnreachable(server.url, str(error)) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def submit(self, request: AnalysisRequest, idempotency_key: str) -> JobAccepted:
        """Submit an analysis, again if the answer got lost or the server asks to wait: one job comes of it."""
        body = request.model_dump_json(exclude_unset=True)
        headers = {"Idempotency-Key": idempotency_key, "Content-Type": "application/json"}
        response = await self._send_patiently("/api/analyze", content=body, headers=headers)
        return JobAccepted.model_validate(self._parsed(response))

    async def retry(self, job_id: str, idempotency_key: str) -> tuple[JobAccepted, bool]:
        """Submit an ended job again, as patiently as `submit`; also whether an earlier retry with this key did."""
        path = f"/api/jobs/{quote(job_id, safe='')}/retry"
        response = await self._send_patiently(path, headers={"Idempotency-Key": idempotency_key})
        is_replay = response.headers.get("idempotency-replayed") == "true"
        return JobAccepted.model_validate(self._parsed(response)), is_replay

    async def document(self, job_id: str) -> Document:
        """The whole analysis."""
        return await self._json("GET", _path(job_id))

    async def document_if_changed(self, job_id: str, etag: str | None) -> tuple[Document | None, str | None]:
        """The analysis and its ETag; None and the same ETag if nothing changed since."""
        response = await self._send("GET", _path(job_id), headers={"If-None-Match": etag} if etag else {})
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return None, etag
        return self._parsed(response), response.headers.get("etag")

    async def cancel(self, job_id: str) -> Document:
        """The job, cancelled. One that has ended stays as it is."""
        return await self._json("POST", f"{_path(job_id)}/cancel")

    async def delete(self, job_id: str) -> None:
        """Forget an analysis that has ended."""
        await self._send("DELETE", _path(job_id))

    async def page(self, *, limit: int, status: str | None = None, cursor: str | None = None) -> AnalysisPage:
        """Analyses, newest first."""
        wanted = {"limit": limit, "status": status, "cursor": cursor}
        params = {name: value for name, value in wanted.items() if value is not None}
        return AnalysisPage.model_validate(await self._json("GET", "/api/analyses", params=params))

    async def dead_letters(self, *, limit: int, cursor: str | None = None) -> DeadPage:
        """Calls that were given up, newest first."""
        params: dict[str, Any] = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        return DeadPage.model_validate(await self._json("GET", "/api/jobs/dead", params=params))

    async def models(self) -> Document:
        """What may be asked: `{data: [{id, aliases, provider, …}]}`."""
        return await self._json("GET", "/api/models")

    async def fleet(self) -> Document:
        """How the models in containers stand: `{models: […], gpus: […], host: {…}}`."""
        return await self._json("GET", "/status")

    async def run_model(self, name: str) -> Document:
        """Ask for a model: `{operation_id, model_id, state, links}`, without an operation if it runs."""
        return await self._json("POST", "/run", json={"model_id": name})

    async def stop_model(self, name: str, *, drain_seconds: float | None, force: bool) -> Document:
        """Ask for a model to stop: as `run_model`, without an operation if it does not run."""
        asked = {"model_id": name, "drain_seconds": drain_seconds, "force": force}
        return await self._json("POST", "/stop", json=asked)

    async def operation(self, operation_id: str) -> Document:
        """How far a start or a stop has come."""
        return await self._json("GET", f"/operations/{quote(operation_id, safe='')}")

    async def model_logs(self, name: str, tail: int) -> Document:
        """What a model's container wrote last: `{model_id, container, lines: [{at, stream, text}]}`."""
        return await self._json("GET", f"/models/{quote(name, safe='')}/logs", params={"tail": tail})

    async def analysis_types(self) -> Document:
        """What an analysis may do with the answers: `{data: [{name, description, …}]}`."""
        return await self._json("GET", "/api/analysis-types")

    async def usage(self, *, first_day: str, group_by: str, source: str | None = None) -> Document:
        """What calls came to from that day (YYYY-MM-DD, UTC) to today: `{data: [{day, model, key, calls, …}]}`."""
        asked = {"from": first_day, "group_by": group_by} | ({"source": source} if source else {})
        return await self._json("GET", "/api/usage", params=asked)

    async def health(self) -> Document:
        """The health document, whether it says yes or no."""
        try:
            return self._parsed(await self._http.get("/health"))
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    @asynccontextmanager
    async def events(self, job_id: str, last_event_id: str) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """One connection to the job's events, after `last_event_id`; it may end before the job does.

        Raises:
            StreamRefused: there is no stream to be had.
            httpx.TransportError: the connection failed or broke.
        """
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        timeout = httpx.Timeout(STREAM_SILENCE_SECONDS, connect=CONNECT_SECONDS)
        path = f"{_path(job_id)}/events"
        async with aconnect_sse(self._http, "GET", path, headers=headers, timeout=timeout) as source:
            is_stream = "text/event-stream" in source.response.headers.get("content-type", "")
            if not source.response.is_success or not is_stream:
                raise StreamRefused
            yield source.aiter_sse()

    async def _send_patiently(self, path: str, **options: Any) -> httpx.Response:
        """A POST with an Idempotency-Key, again while the server asks to wait or its answer gets lost."""
        for pause in self._submit_pauses:
            try:
                return await self._send("POST", path, **options)
            except (ServerUnreachable, ServerRefused) as error:
                if not error.is_retryable:
                    raise
                await asyncio.sleep(error.retry_after_seconds or pause)
        return await self._send("POST", path, **options)

    async def _json(self, method: str, path: str, **options: Any) -> Document:
        return self._parsed(await self._send(method, path, **options))

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self.unreachable(error) from error
        if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
            return response
        raise ServerRefused(
            response.status_code, _explanation(response), retry_after_seconds=_retry_after_seconds(response)
        )

    def _parsed(self, response: httpx.Response) -> Document:
        try:
            document: Document = response.json()
        except ValueError as error:
            raise ServerUnreachable(self._url, "something else listens there") from error
        return document

    def unreachable(self, error: Exception) -> ServerUnreachable:
        """What a failed connection means to people."""
        was_sent = isinstance(error, httpx.TransportError) and not isinstance(
            error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
        )
        return ServerUnreachable(self._url, str(error) or type(error).__name__, is_retryable=was_sent)


def is_finished(document: Document) -> bool:
    """Whether nothing about this job will change any more."""
    return document["status"] in TERMINAL


def is_loopback(url: str) -> bool:
    """Whether this URL stays on this machine."""
    host = httpx.URL(url).host
    return host in {"localhost", "::1"} or host.startswith("127.")


def _authorization(key: str | None) -> dict[str, str]:
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise KeyMalformed  # rather than an error of the HTTP library, which would show the key
    return {"Authorization": f"Bearer {key}"} if key else {}


def _path(job_id: str) -> str:
    return f"/api/analysis/{quote(job_id, safe='')}"


def _explanation(response: httpx.Response) -> str:
    """The `detail` of a problem document; of a server's fault also what finds it in the log."""
    try:
        problem = response.json()
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {response.status_code} {response.reason_phrase}."
    request_id = response.headers.get("x-request-id")
    if response.status_code == httpx.codes.INTERNAL_SERVER_ERROR and request_id:
        return f"{problem.get('title', '')} {detail} (x-request-id: {request_id})".strip()
    return detail


def _retry_after_seconds(response: httpx.Response) -> float | None:
    try:
        return min(float(response.headers["retry-after"]), MAX_RETRY_AFTER_SECONDS)
    except (KeyError, ValueError):
        return None
