import httpx
import pytest

from cli.client import Client, Server, is_loopback
from cli.exits import ExitCode, KeyMalformed, ServerRefused, ServerUnreachable
from common.contracts.analyses import AnalysisRequest
from tests.unit.cli.fake_server import JOB_ID, PATH, FakeServer, answer, document, problem

REQUEST = AnalysisRequest(prompt="Why is the sky blue?", models=["a"])


@pytest.fixture
def server() -> FakeServer:
    return FakeServer(document(answer("a")))


async def test_a_submission_carries_the_key_and_only_what_was_set(server: FakeServer) -> None:
    async with server.client(key="ultra_secret") as client:
        accepted = await client.submit(REQUEST, "key-1")
    [request] = server.asked("POST", "/api/analyze")
    assert accepted.id == JOB_ID
    assert request.headers["authorization"] == "Bearer ultra_secret"
    assert request.headers["idempotency-key"] == "key-1"
    assert request.content == b'{"prompt":"Why is the sky blue?","models":["a"]}'


async def test_a_submission_whose_answer_got_lost_is_sent_again_under_the_same_key(server: FakeServer) -> None:
    def lose_the_first(request: httpx.Request) -> httpx.Response:
        if len(server.asked("POST", "/api/analyze")) == 1:
            raise httpx.ReadError("reset")
        return server._accept(request)

    server.on("POST", "/api/analyze", lose_the_first)
    async with server.client() as client:
        await client.submit(REQUEST, "key-1")
    assert [one.headers["idempotency-key"] for one in server.asked("POST", "/api/analyze")] == ["key-1"] * 2


async def test_a_busy_server_is_asked_again_and_then_believed(server: FakeServer) -> None:
    server.on("POST", "/api/analyze", lambda _: problem(429, "Too much work is waiting.", retry_after="0.001"))
    async with server.client() as client:
        with pytest.raises(ServerRefused, match="Too much work") as refused:
            await client.submit(REQUEST, "key-1")
    assert len(server.asked("POST", "/api/analyze")) == 3
    assert refused.value.exit_code is ExitCode.UNREACHABLE


async def test_a_request_that_is_wrong_is_not_sent_twice(server: FakeServer) -> None:
    server.on("POST", "/api/analyze", lambda _: problem(404, "No model 'a'. Did you mean b?"))
    async with server.client() as client:
        with pytest.raises(ServerRefused, match="Did you mean b") as refused:
            await client.submit(REQUEST, "key-1")
    assert len(server.requests) == 1
    assert refused.value.exit_code is ExitCode.USAGE


async def test_nobody_listening_is_said_at_once_with_what_to_do(server: FakeServer) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    server.on("POST", "/api/analyze", refuse)
    async with server.client() as client:
        with pytest.raises(ServerUnreachable, match="ultra up"):
            await client.submit(REQUEST, "key-1")
    assert len(server.requests) == 1


async def test_a_server_that_is_not_ours_is_recognised(server: FakeServer) -> None:
    server.on("GET", PATH, lambda _: httpx.Response(200, text="<html>It works!</html>"))
    async with server.client() as client:
        with pytest.raises(ServerUnreachable, match="something else"):
            await client.document(JOB_ID)


async def test_a_refusal_without_an_explanation_shows_its_status(server: FakeServer) -> None:
    server.on("GET", PATH, lambda _: httpx.Response(502, text="Bad gateway"))
    async with server.client() as client:
        with pytest.raises(ServerRefused, match="502"):
            await client.document(JOB_ID)


@pytest.mark.parametrize("url", ["localhost:8000", "http://127.0.0.1:port", "ftp://127.0.0.1"])
async def test_an_address_that_is_none_is_an_error_in_one_line(url: str) -> None:
    with pytest.raises(ServerUnreachable, match="Cannot reach a server at"):
        async with Client(Server(url)) as client:
            await client.document(JOB_ID)


@pytest.mark.parametrize("key", ["ultra_ab\nc", "ultra_\u00e9"])
def test_a_key_that_cannot_be_sent_is_not_shown_either(server: FakeServer, key: str) -> None:
    with pytest.raises(KeyMalformed) as malformed:
        server.client(key=key)
    assert "ultra_" not in malformed.value.message


async def test_a_key_from_a_file_may_end_with_its_newline(server: FakeServer) -> None:
    async with server.client(key="ultra_secret\n") as client:
        await client.document(JOB_ID)
    assert server.requests[0].headers["authorization"] == "Bearer ultra_secret"


async def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:2")
    assert [is_loopback(url) for url in ("http://127.0.0.1:8000", "http://[::1]", "https://example.org")] == [
        *(True, True, False)
    ]
    async with Client(Server("http://localhost:1")) as client:
        assert not client._http._mounts


async def test_a_fault_of_the_server_names_the_request_that_the_log_has(server: FakeServer) -> None:
    body = {"title": "Something went wrong on our side.", "detail": "The log has it under this request id."}
    server.on("GET", PATH, lambda _: httpx.Response(500, json=body, headers={"x-request-id": "abc123"}))
    async with server.client() as client:
        with pytest.raises(ServerRefused, match="abc123"):
            await client.document(JOB_ID)
