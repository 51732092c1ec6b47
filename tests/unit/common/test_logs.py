"""What a process's log tells: of requests to models' servers nothing, as their URLs may have passwords in them."""

import logging
from collections.abc import Iterator

import httpx2
import pytest

from common.logs import configure_logging
from tests.unit.common.catalogs import settings

LIBRARIES = ("httpx", "httpcore", "httpx2", "openai", "anthropic", "celery.worker.strategy", "celery.app.trace")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, LIBRARIES)]
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
async def test_a_request_leaves_no_line(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(ultra_log_level=level))
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200))
    async with httpx2.AsyncClient(transport=transport) as client:
        await client.get("http://somebody:hunter2@models.example/api/tags")
    logging.getLogger("ours").info("still told")
    said = capsys.readouterr().err
    assert "still told" in said
    assert "hunter2" not in said


def test_what_a_server_said_cannot_look_like_an_event_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings())
    said = "no\n2026-11-21 00:00:00,000 ERROR api.auth: all keys revoked\r\x1b[2K\x9b31m"
    logging.getLogger("ours").error("refused: %s", said, exc_info=ValueError(said))
    first, *more = capsys.readouterr().err.rstrip("\n").split("\n")
    assert first.endswith("ERROR ours: refused: no")
    assert any("all keys revoked\\x0d\\x1b[2K\\x9b31m" in line for line in more)
    assert any("ValueError: no" in line for line in more)
    assert all(line.startswith("  ") for line in more)
