"""The gateway's ASGI app: everything under `/v1`. What is common to every request, and which is served by what."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from api.auth import Auth, Caller
from api.gateway import models, usage
from api.gateway.client import Client, Lost, Patience
from api.gateway.dialects import COUNT_TOKENS, DIALECTS, SpeakingClient, dialect_of
from api.gateway.envelope import Internal, Misdirected, WrongMethod, refusal
from api.gateway.faults import Fault
from api.gateway.generating import Generating
from api.gateway.kinds import CHAT, COMPLETION, EMBEDDING
from api.gateway.token_counting import TokenCounting
from api.gateway.virtual import Virtual
from api.hosts import is_own_name
from api.metrics import Metrics
from api.observing import log_request, request_id_of
from common.catalog.catalog import Catalog
from common.errors import AppError, DependencyDown, NotFound
from common.telemetry.port import Telemetry

PREFIX = "/v1"
MODELS = "/v1/models"

logger = logging.getLogger("api.access")

Handler = Callable[[Client, Caller], Awaitable[None]]


def is_for_gateway(path: str) -> bool:
    """Whether a path is ours."""
    return path.startswith("/v1/") or path == PREFIX


class Gateway:
    """Serves `/v1`. `host_names` are the names it answers to, or None where a key is asked for anyway."""

    def __init__(
        self,
        auth: Auth,
        catalog: Callable[[], Catalog],
        generating: Generating,
        token_counting: TokenCounting,
        virtual: Virtual,
        metrics: Metrics,
        telemetry: Telemetry,
        *,
        host_names: frozenset[str] | None,
        patience: Patience = Patience(),  # noqa: B008  # immutable
    ) -> None:
        self._auth = auth
        self._catalog = catalog
        self._virtual = virtual
        self._handlers: dict[str, Handler] = {
            PREFIX + kind.path: partial(generating.serve, kind) for kind in (CHAT, COMPLETION, EMBEDDING)
        }
        self._handlers |= dict.fromkeys(DIALECTS, partial(generating.serve, CHAT))
        self._handlers[COUNT_TOKENS] = token_counting.serve
        self._metrics = metrics
        self._telemetry = telemetry
        self._host_names = host_names
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Whatever happens, the client hears of it in the words it speaks, or is gone."""
        started = time.perf_counter()
        request_id = request_id_of(scope)
        usage.request_id.set(request_id.decode())
        told = self._telemetry.client_request(scope["method"], request_id.decode(), scope["headers"])
        dialect = dialect_of(scope["path"])
        client = (
            Client(scope, receive, send, request_id, self._patience)
            if dialect is None
            else SpeakingClient(dialect, scope, receive, send, request_id, self._patience)
        )
        try:
            await self._serve(client)
        except asyncio.CancelledError:
            await self._part(client)
        finally:
            client.unwatch()
            seconds = time.perf_counter() - started
            self._metrics.count_request(scope["method"], client.route, client.status, seconds)
            told.end(client.route, client.status)
            log_request(scope, client.status, seconds, request_id)

    async def _serve(self, client: Client) -> None:
        scope = client.scope
        try:
            self._guard(scope)
            client.route, key_scope, handler = self._route(scope)
            caller = await self._auth.admit(Headers(raw=scope["headers"]), key_scope, takes_any=True)
            await handler(client, caller)
        except (AppError, Fault) as error:
            await client.refuse(refusal(error))
        except Lost:
            pass
        except Exception:
            logger.exception("request %s failed in our own code", client.request_id.decode())
            await client.refuse(refusal(Internal()))

    async def _part(self, client: Client) -> None:
        """The task was cancelled, because its client is lost or this server stops; it goes on to its end."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if not client.is_lost:
            await client.refuse(refusal(DependencyDown("This server is stopping.", retry_after_seconds=1)))
        elif client.has_begun:
            await client.cut()

    def _guard(self, scope: Scope) -> None:
        if self._host_names is None:
            return
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if host and not is_own_name(host.decode("latin-1"), self._host_names):
            raise Misdirected

    def _route(self, scope: Scope) -> tuple[str, str, Handler]:
        """The route's name for metrics, the scope a key needs for it, and what serves it.

        Raises:
            NotFound: there is no such path.
            WrongMethod: there is, for another method.
        """
        path, method = scope["path"], scope["method"]
        generate = self._handlers.get(path)
        if generate is not None:
            if method != "POST":
                raise WrongMethod("POST")
            return path, "submit", generate
        if path == MODELS or path.startswith(MODELS + "/"):
            if method != "GET":
                raise WrongMethod("GET")
            return (MODELS, "read", self._list) if path == MODELS else (f"{MODELS}/{{id}}", "read", self._retrieve)
        raise NotFound(f"No such path: {method} {path[:200]}. Is the base URL right? It ends with /v1.")

    async def _list(self, client: Client, caller: Caller) -> None:
        limits = caller.limits
        await client.answer(200, (), models.listed(self._catalog(), limits, self._virtual.offered(limits)))

    async def _retrieve(self, client: Client, caller: Caller) -> None:
        limits, name = caller.limits, client.scope["path"].removeprefix(MODELS + "/")
        model = models.retrieved(self._catalog(), limits, self._virtual.offered(limits), name)
        await client.answer(200, (), model)
