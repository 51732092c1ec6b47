"""Running the app on uvicorn."""

import asyncio

import uvicorn

from api.auth import refuse_locked_door
from api.database import Database
from api.main import create_app
from common.database.connect import connect
from common.logs import configure_logging
from common.settings import Settings

# Open event streams end by themselves when the server stops; this bounds the rest.
DRAIN_SECONDS = 3


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in hand within DRAIN_SECONDS.

    Raises:
        ConfigError: a setting is wrong, or there is no key where one is needed.
    """
    configure_logging(settings)
    app = create_app(settings)
    asyncio.run(_refuse_locked_door(settings))
    uvicorn.run(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=4096,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


async def _refuse_locked_door(settings: Settings) -> None:
    database = Database(connect(settings.database_url.get_secret_value(), pool_size=1))
    try:
        await refuse_locked_door(settings, database)
    finally:
        await database.close()
