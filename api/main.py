"""The app: routes, middleware and lifetime, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from api import docs_page, errors, openapi
from api.auth import is_key_required
from api.bodies import BodyLimit
from api.gateway.app import is_for_gateway
from api.hosts import HostGuard
from api.metrics import Metrics
from api.observing import Observing
from api.routes import analyses, catalog, fleet, health, inference, jobs, usage
from api.runtime import Runtime
from api.turnstile import Turnstile
from common.catalog.current import current_catalog
from common.patterns.current import current_patterns
from common.settings import Settings, load_settings

# FastAPI's own traces and metrics cost as much as its routing; ours are in api/observing.py.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}


class App(FastAPI):
    """FastAPI for everything but the gateway's paths: its stack costs more than a chat's whole request may."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_for_gateway(scope["path"]):
            await self.state.runtime.gateway(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app, from these settings or the environment's. Connects to nothing until it is started.

    Raises:
        ConfigError: a setting, the catalog or the patterns are wrong.
    """
    settings = settings or load_settings()
    models = current_catalog(settings)
    patterns = current_patterns(settings, models)
    metrics = Metrics()
    needs_key = is_key_required(settings)
    names = None if needs_key or settings.ultra_insecure else host_names(settings)
    app_version = version("ultrallm")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        runtime = Runtime(settings, models, patterns, metrics, app_version, names)
        app.state.runtime = runtime
        async with runtime.running():
            yield

    app = App(
        title="UltraLLM Orchestrator",
        version=app_version,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
        telemetry=NO_TELEMETRY,
        generate_unique_id_function=openapi.operation_id,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    routers = [routes.router for routes in (analyses, jobs, catalog, fleet, inference, usage, health)]
    errors.install(app, [route for router in routers for route in router.routes])
    openapi.complete(app, is_key_required=needs_key)
    for router in routers:
        app.include_router(router)
    app.add_api_route("/", start_page, include_in_schema=False)
    docs_page.install(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit)
    if names is not None:
        app.add_middleware(HostGuard, names=names)
    app.add_middleware(Turnstile)
    app.add_middleware(Observing, metrics=metrics)
    return app


async def start_page() -> Response:
    """People who open the bare address want to know what this is."""
    return RedirectResponse(docs_page.PAGE)


def host_names(settings: Settings) -> frozenset[str]:
    """The names of ULTRA_ALLOWED_HOSTS."""
    return frozenset(name.strip().lower() for name in settings.ultra_allowed_hosts.split(",") if name.strip())
