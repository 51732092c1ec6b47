"""Logging: one line an event on standard error."""

import logging

from common.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Set up the root logger; called where a process is put together."""
    logging.basicConfig(
        level=settings.ultra_log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    # A line a task and a request is measurable at hundreds a second, and says what Postgres says better.
    # httpx2 tells URLs too, and some have a password in them.
    for chatty in ("celery.worker.strategy", "celery.app.trace", "httpx", "httpcore", "httpx2", "openai", "anthropic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
