"""Running the app on uvicorn."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from api.auth import refuse_locked_door
from api.database import Database
from api.main import create_app
from api.receiving import BoundedHttp
from common.database.connect import connect
from common.errors import ConfigError
from common.logs import configure_logging
from common.settings import Settings

# Open event streams end by themselves when the server stops; this bounds the rest.
DRAIN_SECONDS = 3
# Above the 60 s after which load balancers usually let an idle connection go: they should be first.
KEEP_ALIVE_SECONDS = 65
ENOUGH_FILES = 65_536
# Objects that are made between two looks for garbage in circles. A request leaves next to none, and with the usual 700
# the looks were a seventh of a busy gateway's time (docs/performance.md).
GARBAGE = 20_000


def run(settings: Settings, hosts: Sequence[str], port: int) -> None:
    """Serve at these addresses until SIGINT or SIGTERM, then finish what is in hand within DRAIN_SECONDS.

    Raises:
        ConfigError: a setting is wrong, there is no key where one is needed, or an address cannot be had.
    """
    configure_logging(settings)
    app = create_app(settings)
    asyncio.run(_refuse_locked_door(settings))
    allow_open_files()
    sockets = [_bound(host, port) for host in hosts]
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = Server(config, app)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Uvicorn raises the signal again once it has stopped. To stop when asked to is no failure.
        signal.signal(number, lambda *_: None)
    server.run(sockets)
    if not server.started:
        raise SystemExit(1)


def allow_open_files() -> None:
    """As many as this user may: each watcher holds one, and the usual default is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Server(uvicorn.Server):
    """Uvicorn, which waits for open responses before it tells the app to stop: event streams would never end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: "list[socket.socket] | None" = None) -> None:
        """Start, then spare the collector what start-up made: it lives as long as the process."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE, 20, 50)

    async def shutdown(self, sockets: "list[socket.socket] | None" = None) -> None:
        """Let watchers and waiting requests go, then drain as ever."""
        self._app.state.runtime.requests = self.server_state.tasks
        self._app.state.runtime.hub.close()
        await super().shutdown(sockets)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that does not listen yet: who comes before the app has started is refused, not kept waiting."""
    try:
        # Of a name's addresses one of IPv4, if it has any: every client finds that one too.
        family, *how, _, address = min(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        bound = socket.socket(family, *how)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        message = f"Cannot listen on {host} port {port} ({error.strerror}): choose others with --host and --port."
        raise ConfigError(message) from error
    return bound


async def _refuse_locked_door(settings: Settings) -> None:
    database = Database(connect(settings.database_url.get_secret_value(), pool_size=1))
    try:
        await refuse_locked_door(settings, database)
    finally:
        await database.close()
