import logging

import pytest
from fastapi import FastAPI

from api.metrics import Metrics
from api.observing import Observing
from common.errors import JobNotFound
from tests.unit.api.apps import client, raising


def observed(app: FastAPI) -> tuple[FastAPI, Metrics]:
    metrics = Metrics()
    app.add_middleware(Observing, metrics=metrics)
    return app, metrics


@pytest.mark.parametrize("given", ["abc-1.2:3_4", "x" * 128])
async def test_a_harmless_request_id_is_kept(given: str) -> None:
    app, _ = observed(raising(JobNotFound()))
    async with client(app) as http:
        assert (await http.get("/", headers={"x-request-id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "<script>", "a\tb", "é"])
async def test_any_other_request_id_is_replaced(given: str) -> None:
    app, _ = observed(raising(JobNotFound()))
    async with client(app) as http:
        echoed = (await http.get("/", headers={"x-request-id": given.encode()})).headers["x-request-id"]
    assert echoed != given
    assert len(echoed) == 24


async def test_a_fault_of_ours_is_logged_with_the_request_id_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = observed(raising(RuntimeError("password=hunter2")))
    async with client(app) as http:
        response = await http.get("/", headers={"x-request-id": "find-me"})
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert response.headers["x-request-id"] == "find-me"
    assert any("find-me" in record.getMessage() and record.levelno == logging.ERROR for record in caplog.records)


async def test_requests_are_counted_by_route_never_by_path() -> None:
    app, metrics = observed(FastAPI())

    @app.get("/things/{name}")
    async def thing(name: str) -> str:
        return name

    async with client(app) as http:
        for name in ("a", "b"):
            await http.get(f"/things/{name}")
        await http.get("/nope/1")
    text = metrics.render().decode()
    assert 'ultra_http_request_seconds_count{method="GET",route="/things/{name}",status="200"} 2.0' in text
    assert 'ultra_http_request_seconds_count{method="GET",route="unmatched",status="404"} 1.0' in text


async def test_what_went_wrong_is_told_in_one_line_whatever_the_path(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app, _ = observed(FastAPI())
    async with client(app) as http:
        await http.get("/a%0Ab")
    [line] = [record.getMessage() for record in caplog.records if record.name == "api.access"]
    assert "\n" not in line
    assert "404" in line
