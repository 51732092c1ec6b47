"""From the environment to a served model, and to the exit code."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping

import uvicorn

from runner.app import create_app
from runner.engines.loading import load
from runner.faults import Fatal
from runner.instance import Instance
from runner.metrics import Metrics
from runner.settings import Settings, read_settings

# Above the 60 s for which clients keep idle connections: they should let go first.
KEEP_ALIVE_SECONDS = 65
# Read by libraries when they are loaded, so set before any is; what the environment says goes first.
# Threads that compute wait for each other hundreds of times a token, by default spinning: on processors that
# somebody else uses too, that has cost a factor of ten (cli/embedded/model.py).
LIBRARIES = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
# Responses are complete when the drain ends; this bounds clients that do not read theirs.
LAST_BYTES_SECONDS = 3


def run(environment: Mapping[str, str]) -> int:
    """Serve until SIGTERM or a fatal fault; returns the exit code. The last line says what was fatal."""
    for name, value in LIBRARIES.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel("WARNING")
    try:
        settings = read_settings(environment)
    except Fatal as fault:
        sys.stderr.write(fault.line())
        return fault.exit_code
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    metrics = Metrics()
    instance = Instance(settings, load, metrics)
    server = Server(
        uvicorn.Config(
            create_app(instance, metrics),
            host=settings.host,
            port=settings.port,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=LAST_BYTES_SECONDS,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, instance.drain)
    listening = asyncio.create_task(server.serve())
    code = await instance.run()
    server.should_exit = True
    await listening
    if instance.error is not None:
        sys.stderr.write(instance.error.line())
    return code


class Server(uvicorn.Server):
    """Uvicorn without its signals: it would close the door at SIGTERM, behind which others must hear 503."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield
