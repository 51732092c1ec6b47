"""Logging: an event a line on standard error; what more there is of it stands below, indented."""

import logging

from common.settings import Settings

# Control characters, but for those that `Events` takes care of.
_SPELT = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Events(logging.Formatter):
    """What a client or a model's server said can neither look like an event of ours nor steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The event, traceback and all."""
        return super().format(record).translate(_SPELT).replace("\n", "\n  ")


def configure_logging(settings: Settings) -> None:
    """Set up the root logger; called where a process is put together."""
    handler = logging.StreamHandler()
    handler.setFormatter(Events("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.ultra_log_level, handlers=[handler], force=True)
    # A line a task and a request is measurable at hundreds a second, and says what Postgres says better.
    # httpx2 tells URLs too, and some have a password in them.
    for chatty in ("celery.worker.strategy", "celery.app.trace", "httpx", "httpcore", "httpx2", "openai", "anthropic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
