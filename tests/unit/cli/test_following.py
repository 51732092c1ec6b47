import asyncio
import json

import httpx
import pytest

from cli.exits import ExitCode, WaitedTooLong
from cli.following import Manner, follow, submit_and_follow
from common.contracts.analyses import AnalysisRequest
from tests.unit.cli.fake_server import JOB_ID, PATH, FakeServer, answer, document, failed

REQUEST = AnalysisRequest(prompt="Why is the sky blue?", models=["a", "b"])
FINAL = document(answer("a", "Scattering."), answer("b", "Rayleigh."))


async def submitted(server: FakeServer, manner: Manner) -> ExitCode:
    async with server.client() as client, asyncio.timeout(60):
        return await submit_and_follow(client, REQUEST, manner)


async def test_json_is_the_final_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    final = FINAL | {"a_field_of_tomorrow": 1}
    assert await submitted(FakeServer(final), Manner("json")) is ExitCode.COMPLETED
    assert json.loads(capsys.readouterr().out) == final


async def test_quiet_prints_the_text_alone(capsys: pytest.CaptureFixture[str]) -> None:
    await submitted(FakeServer(FINAL), Manner("text", is_quiet=True))
    assert capsys.readouterr().out == "Both say scattering.\n"


async def test_markdown_leaves_standard_output_to_the_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    await submitted(FakeServer(FINAL | {"text": "## Summary\n\nfine"}), Manner("markdown"))
    assert capsys.readouterr().out == "## Summary\n\nfine\n"


async def test_a_pipe_sees_every_answer_once(capsys: pytest.CaptureFixture[str]) -> None:
    await submitted(FakeServer(FINAL), Manner("text"))
    shown = capsys.readouterr().out
    assert [shown.count(text) for text in ("a │ Scattering.", "Rayleigh.")] == [1, 1]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("completed", ExitCode.COMPLETED),
        ("partial", ExitCode.PARTIAL),
        ("failed", ExitCode.FAILED),
        ("cancelled", ExitCode.FAILED),
    ],
)
async def test_the_exit_code_tells_how_it_ended(status: str, code: ExitCode) -> None:
    final = document(answer("a"), failed("b"), status=status)
    assert await submitted(FakeServer(final), Manner("json")) is code


async def test_an_interrupt_has_the_job_cancelled() -> None:
    server = FakeServer(FINAL)
    is_watched = asyncio.Event()

    def hang(_: httpx.Request) -> httpx.Response:
        is_watched.set()
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Hanging())

    server.on("GET", f"{PATH}/events", hang)
    running = asyncio.create_task(submitted(server, Manner("json")))
    await is_watched.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(server.asked("POST", f"{PATH}/cancel")) == 1


async def test_time_that_runs_out_leaves_the_job_running(monkeypatch: pytest.MonkeyPatch) -> None:
    server, loop = FakeServer(FINAL), asyncio.get_running_loop()
    clock = loop.time

    def hang(_: httpx.Request) -> httpx.Response:
        monkeypatch.setattr(loop, "time", lambda: clock() + 30)
        return _endless()

    server.on("GET", f"{PATH}/events", hang)
    with pytest.raises(WaitedTooLong, match=f"ultra show {JOB_ID} --watch") as late:
        await submitted(server, Manner("json", timeout_seconds=30))
    assert late.value.exit_code is ExitCode.TIMEOUT
    assert server.asked("POST", f"{PATH}/cancel") == []


async def test_following_an_earlier_job_shows_it_from_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeServer(FINAL).client() as client:
        assert await follow(client, JOB_ID, Manner("text")) is ExitCode.COMPLETED
    assert "Rayleigh." in capsys.readouterr().out


class Hanging(httpx.AsyncByteStream):
    async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        yield b": welcome\n\n"
        await asyncio.Event().wait()


def _endless() -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Hanging())
