import pytest
from fastapi import FastAPI, Request

from api import errors
from api.bodies import MAX_BODY_BYTES, BodyLimit, read_json
from common.contracts.analyses import AnalysisRequest
from tests.unit.api.apps import client, streamed

JSON = {"content-type": "application/json"}


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(BodyLimit)

    @app.post("/")
    async def read(request: Request) -> str:
        return (await read_json(request, AnalysisRequest)).prompt

    return app


async def test_a_body_is_read(app: FastAPI) -> None:
    async with client(app) as http:
        response = await http.post("/", json={"prompt": "hello"})
    assert response.json() == "hello"


async def test_a_body_that_announces_too_much_is_refused(app: FastAPI) -> None:
    async with client(app) as http:
        response = await http.post("/", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)
    assert response.status_code == 413
    assert response.json()["status"] == 413


async def test_a_body_that_announces_nothing_is_refused_as_soon_as_it_is_too_much(app: FastAPI) -> None:
    async with client(app) as http:
        response = await http.post("/", content=streamed(2 * MAX_BODY_BYTES)(), headers=JSON)
    assert response.status_code == 413


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data", "application/jsonx"]
)
async def test_a_body_that_a_web_page_could_send_unasked_is_refused(app: FastAPI, kind: str) -> None:
    async with client(app) as http:
        response = await http.post("/", content=b'{"prompt": "hello"}', headers={"content-type": kind})
    assert response.status_code == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
async def test_json_by_any_name_is_read(app: FastAPI, kind: str) -> None:
    async with client(app) as http:
        response = await http.post("/", content=b'{"prompt": "hello"}', headers={"content-type": kind})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"prompt": "\\ud800"}', b'{"prompt": "\xff"}', b'{"prompt": "a\\u0000"}', b"[" * 5000,
     b'{"prompt": "a", "options": {"temperature": NaN}}', b'{"prompt": "a", "options": {"timeout_seconds": 1e999}}'],
)  # fmt: skip
async def test_what_is_no_request_is_refused_with_the_field(app: FastAPI, body: bytes) -> None:
    async with client(app) as http:
        response = await http.post("/", content=body, headers=JSON)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"]
