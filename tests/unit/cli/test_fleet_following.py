"""What `ultra fleet run` and `stop` say while they wait."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cli.client import Client, Server
from cli.fleet import follow

NOW = "2026-11-21T00:00:00+00:00"


def operation(**said: Any) -> dict[str, Any]:
    known = {"model_id": "local-a", "status": "queued", "progress": None, "started_at": None, "finished_at": None}
    return known | {"error": None, "result": None} | said


def server(*operations: dict[str, Any]) -> Client:
    """Tells these, one after the other."""
    told: Iterator[dict[str, Any]] = iter(operations)
    return Client(Server("http://fake.test"), httpx.MockTransport(lambda _: httpx.Response(200, json=next(told))))


ENDED = operation(status="completed", started_at=NOW, finished_at=NOW, result={"state": "ready"})


async def test_where_nobody_begins_it_is_said_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    async with server(operation(), ENDED) as client:
        await follow(client, "1", nobody_seconds=0)
    said = capsys.readouterr()
    assert "`ultra worker lifecycle`" in said.err
    assert said.out == "local-a: ready\n"


async def test_what_somebody_has_begun_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    begun = operation(status="running", started_at=NOW, progress={"phase": "starting", "reason": None, "details": None})
    async with server(begun, begun, ENDED) as client:
        await follow(client, "1", nobody_seconds=0)
    assert capsys.readouterr().err == "local-a: starting\n"
