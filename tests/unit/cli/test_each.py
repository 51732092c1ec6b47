import json

import httpx
import pytest

from cli.each import Deed, do_each
from cli.exits import ServerRefused, ServerUnreachable
from tests.unit.cli.fake_server import JOB_ID, FakeServer, answer, document, problem

RETRY = f"/api/jobs/{JOB_ID}/retry"


async def act(job_id: str) -> Deed:
    """Each id is what happens to it."""
    match job_id:
        case "gone":
            raise ServerRefused(404, "No job of that id.")
        case "running":
            raise ServerRefused(409, "The job has not ended.")
        case "busy":
            raise ServerRefused(429, "Too much work is waiting.")
        case "away":
            raise ServerUnreachable("http://fake.test", "refused")
    return Deed("done", f"done as {job_id}2", {"job_id": f"{job_id}2"})


async def test_each_job_has_a_line_and_one_refusal_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert await do_each(["a", "running", "b"], act, as_json=False) == 1
    seen = capsys.readouterr()
    assert seen.out == "a done as a2\nb done as b2\n"
    assert seen.err == "running refused: The job has not ended.\n"


async def test_all_going_well_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert await do_each(["a"], act, as_json=False) == 0
    assert capsys.readouterr().err == ""


async def test_an_unknown_id_is_told_where_ids_are(capsys: pytest.CaptureFixture[str]) -> None:
    await do_each(["gone"], act, as_json=False)
    assert "`ultra jobs` lists" in capsys.readouterr().err


@pytest.mark.parametrize("trouble", ["busy", "away"])
async def test_a_server_that_takes_nothing_now_is_not_asked_about_the_others(
    trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await do_each(["a", trouble, "b", "c"], act, as_json=False) == 1
    seen = capsys.readouterr()
    assert seen.out == "a done as a2\n"
    assert seen.err.splitlines()[1] == "2 more not tried: run the command again when the server takes work."


async def test_json_has_it_all_in_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert await do_each(["a", "busy", "b"], act, as_json=True) == 1
    seen = capsys.readouterr()
    assert seen.err == ""
    assert json.loads(seen.out) == {
        "data": [
            {"id": "a", "outcome": "done", "job_id": "a2"},
            {"id": "busy", "outcome": "refused", "error": "Too much work is waiting."},
        ],
        "not_tried": ["b"],
    }


async def test_a_retry_is_sent_again_under_the_same_key_when_its_answer_is_lost() -> None:
    server = FakeServer(document(answer("mock-a")))
    answers = [problem(503, "Postgres is away.", "0.001"), problem(429, "Busy."), accepted(server)]
    server.on("POST", RETRY, lambda _: answers.pop(0))
    async with server.client() as client:
        job, is_replay = await client.retry(JOB_ID, "k")
    assert (job.id, is_replay) == (JOB_ID, False)
    assert [one.headers["idempotency-key"] for one in server.asked("POST", RETRY)] == ["k"] * 3


async def test_a_retry_that_was_made_before_is_told_as_such() -> None:
    server = FakeServer(document(answer("mock-a")))
    server.on("POST", RETRY, lambda _: accepted(server, {"idempotency-replayed": "true"}))
    async with server.client() as client:
        assert (await client.retry(JOB_ID, "k"))[1] is True


def accepted(server: FakeServer, headers: dict[str, str] | None = None) -> httpx.Response:
    names = ("id", "status", "analysis_type", "models", "created_at", "links")
    return httpx.Response(202, json={name: server.final[name] for name in names}, headers=headers)
