"""Where the menu leads: its questions in their order, over a server without a socket."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from cli.exits import ServerUnreachable
from cli.menu.asker import Back, Leave
from cli.menu.exchange import Exchange
from cli.menu.menu import Menu
from common.contracts.analysis_types import BUILT_IN, AnalysisType
from tests.unit.cli.fake_server import JOB_ID, PATH, FakeServer, answer, document, problem
from tests.unit.cli.scripted_asker import Reply, ScriptedAsker
from tests.unit.cli.test_menu_choices import KEYLESS, model

FINAL = document(answer("a", "Scattering."), answer("b", "Rayleigh."))
MODELS = [model("a", default=True), model("b", default=True), model("c"), KEYLESS]
PATTERN = AnalysisType(name="debate", description="Two sides.", built_in=False)
COMPOSED = ("New analysis", "comparative", ["a", "b"], "Why?", "a")
ASKED = [*COMPOSED, "Ask"]


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer(FINAL)
    offers(server, MODELS)
    types = [one.model_dump() for one in (*BUILT_IN, PATTERN)]
    server.on("GET", "/api/analysis-types", lambda _: httpx.Response(200, json={"data": types}))
    server.on("DELETE", PATH, lambda _: httpx.Response(204))
    return server


@pytest.fixture
def exchange(server: FakeServer) -> Iterator[Exchange]:
    with Exchange(server.client()) as exchange:
        yield exchange


def offers(server: FakeServer, models: list[Any]) -> None:
    listed = {"data": [one.model_dump() for one in models]}
    server.on("GET", "/api/models", lambda _: httpx.Response(200, json=listed))


def pages(server: FakeServer, *documents: dict[str, Any]) -> None:
    """One analysis a page."""

    def page(request: httpx.Request) -> httpx.Response:
        place = int(request.url.params.get("cursor", "0"))
        cursor = str(place + 1) if place + 1 < len(documents) else None
        return httpx.Response(200, json={"data": list(documents[place : place + 1]), "next_cursor": cursor})

    server.on("GET", "/api/analyses", page)


def ran(exchange: Exchange, *replies: Reply) -> ScriptedAsker:
    asker = ScriptedAsker(*replies)
    Menu(asker, exchange).run()
    return asker


def submitted(server: FakeServer) -> list[dict[str, Any]]:
    return [orjson.loads(request.content) for request in server.asked("POST", "/api/analyze")]


def test_an_analysis_is_asked_watched_and_shown(
    server: FakeServer, exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    asker = ran(exchange, *ASKED, "Go on")
    assert asker.asked == [
        *("What now?", "Analysis type", "Models", "Prompt", "Who compares the answers?", "Ready?"),
        *("This analysis is completed", "What now?"),
    ]
    assert asker.chosen("Models") == ["a, mock", "b, mock"]
    assert submitted(server) == [
        {
            "prompt": "Why?",
            "analysis_type": "comparative",
            "models": ["a", "b"],
            "output_format": "text",
            "lead_model": "a",
        }
    ]
    assert "Rayleigh." in capsys.readouterr().out


def test_going_back_leads_to_the_question_before_with_its_answer_kept(server: FakeServer, exchange: Exchange) -> None:
    asker = ran(exchange, *COMPOSED, Back(), Back(), "Why not?", "b", "Ask")
    assert asker.asked[4:9] == [
        *("Who compares the answers?", "Ready?", "Who compares the answers?", "Prompt"),
        "Who compares the answers?",
    ]
    assert asker.defaults["Prompt"] == "Why?"
    assert [(one["prompt"], one["lead_model"]) for one in submitted(server)] == [("Why not?", "b")]


def test_going_back_from_the_first_question_leads_to_the_top_and_from_there_out(exchange: Exchange) -> None:
    assert ran(exchange, "New analysis", Back(), Back()).asked == ["What now?", "Analysis type", "What now?"]


def test_a_lead_that_is_left_to_the_server_is_not_sent(server: FakeServer, exchange: Exchange) -> None:
    ran(exchange, *COMPOSED[:-1], "the server's", "Ask")
    [sent] = submitted(server)
    assert not {"lead_model", "options"} & sent.keys()


def test_answers_alone_are_asked_for_without_a_comparison(server: FakeServer, exchange: Exchange) -> None:
    ran(exchange, *COMPOSED[:-1], "nobody", "Ask")
    assert submitted(server)[0]["options"] == {"merge": False}


@pytest.mark.parametrize("answered", range(6))
def test_leaving_is_possible_at_every_question(server: FakeServer, exchange: Exchange, answered: int) -> None:
    ran(exchange, *ASKED[:answered], Leave())
    assert submitted(server) == []


def test_starting_over_forgets_every_answer(exchange: Exchange) -> None:
    asker = ran(exchange, "New analysis", "factual", ["c"], "Why?", "c", "Start over", "comparative", ["a"])
    assert asker.chosen("Analysis type") == ["comparative"]
    assert asker.chosen("Models") == ["a, mock", "b, mock"]
    assert asker.defaults["Prompt"] == ""


def test_settings_are_changed_one_by_one_and_going_back_leaves_one_as_it_was(
    server: FakeServer, exchange: Exchange
) -> None:
    asker = ran(exchange, *COMPOSED, "Temperature", "0.5", "System", Back(), "Show", "markdown", "Ask")
    assert asker.asked[5:12] == [
        *("Ready?", "Temperature", "Ready?", "System prompt", "Ready?", "Show the result as", "Ready?")
    ]
    [sent] = submitted(server)
    assert sent["options"] == {"temperature": 0.5}
    assert sent["output_format"] == "markdown"


def test_a_pattern_always_has_its_lead(server: FakeServer, exchange: Exchange) -> None:
    asker = ran(exchange, "New analysis", "debate", ["a"], "Why?")
    assert None not in [offer.value for offer in asker.offers["Who compares the answers?"]]


def test_what_the_server_refuses_is_said_and_nothing_that_was_typed_is_lost(
    server: FakeServer, exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    refusals = iter([problem(422, "The prompt is too rude.")])
    server.on("POST", "/api/analyze", lambda request: next(refusals, None) or server._accept(request))
    asker = ran(exchange, *ASKED, Back(), Back(), "Why, please?", "a", "Ask")
    assert capsys.readouterr().err == "error: The prompt is too rude.\n"
    assert asker.defaults["Prompt"] == "Why?"
    assert [one["prompt"] for one in submitted(server)] == ["Why?", "Why, please?"]


def test_nobody_answering_at_the_start_ends_the_menu_and_later_does_not(
    server: FakeServer, exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    server.on("GET", "/api/analyses", refuse)
    assert ran(exchange, "Past analyses").asked == ["What now?", "What now?"]
    assert "ultra up" in capsys.readouterr().err

    server.on("GET", "/api/models", refuse)
    with pytest.raises(ServerUnreachable, match="ultra up"):
        ran(exchange, "Past analyses")


def test_no_model_to_ask_is_said_with_what_each_of_them_needs(
    server: FakeServer, exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    offers(server, [KEYLESS])
    assert ran(exchange, "New analysis").asked == ["What now?", "What now?"]
    said = capsys.readouterr()
    assert "OPENAI_API_KEY is not set" in said.out
    assert "No model can be asked" in said.err


def test_asking_again_begins_at_the_end_with_the_same_answers(server: FakeServer, exchange: Exchange) -> None:
    asker = ran(exchange, *ASKED, "Ask again", "Ask", "Ask again", Back(), Back(), "And why?", "b", "Ask")
    assert [one["prompt"] for one in submitted(server)] == ["Why?", "Why is the sky blue?", "And why?"]
    assert asker.defaults["Prompt"] == "Why is the sky blue?"


def test_past_analyses_are_paged_and_opened(
    server: FakeServer, exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    pages(server, FINAL, FINAL | {"id": "older"}, FINAL | {"id": "oldest"})
    asker = ran(exchange, "Past analyses", "Older…", "Older…", "Newer…", "Newer…", "2026-11-21", "Go on")
    places = [request.url.params.get("cursor") for request in server.asked("GET", "/api/analyses")]
    assert places == [None, "1", "2", "1", None, None]
    assert asker.asked[-2:] == ["This analysis is completed", "Past analyses"]
    assert "Rayleigh." in capsys.readouterr().out


def test_an_analysis_is_deleted_once_that_is_confirmed(server: FakeServer, exchange: Exchange) -> None:
    pages(server, FINAL)
    asker = ran(exchange, "Past analyses", "2026-11-21", "Delete", False, "Delete", True)
    assert len(server.asked("DELETE", PATH)) == 1
    assert asker.asked[-1] == "Past analyses"


def test_a_running_analysis_is_cancelled_and_watched_to_its_end(server: FakeServer, exchange: Exchange) -> None:
    states = iter([document(answer("a"), status="running")] * 2)
    server.on("GET", PATH, lambda _: httpx.Response(200, json=next(states, FINAL)))
    pages(server, FINAL)
    asker = ran(exchange, "Past analyses", "2026-11-21", "Cancel")
    assert len(server.asked("POST", f"{PATH}/cancel")) == 1
    assert asker.asked[-2:] == ["This analysis is running", "This analysis is completed"]


def test_an_analysis_asked_again_from_the_past_is_ready_to_be_sent(server: FakeServer, exchange: Exchange) -> None:
    pages(server, FINAL)
    ran(exchange, "Past analyses", "2026-11-21", "Ask again", "Ask")
    assert [one["prompt"] for one in submitted(server)] == ["Why is the sky blue?"]


def test_no_past_is_said(server: FakeServer, exchange: Exchange, capsys: pytest.CaptureFixture[str]) -> None:
    server.on("GET", "/api/analyses", lambda _: httpx.Response(200, json={"data": [], "next_cursor": None}))
    assert ran(exchange, "Past analyses").asked == ["What now?", "What now?"]
    assert "none yet" in capsys.readouterr().out


def test_ctrl_c_while_watching_leaves_the_job_running_and_says_how_to_find_it(
    server: FakeServer, exchange: Exchange, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        signal.raise_signal(signal.SIGINT)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Endless())

    server.on("GET", f"{PATH}/events", interrupt)
    asker = ran(exchange, *ASKED)
    assert f"ultra show {JOB_ID} --watch" in capsys.readouterr().out
    assert server.asked("POST", f"{PATH}/cancel") == []
    assert asker.asked[-1] == "This analysis is completed"


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        yield b": welcome\n\n"
        await asyncio.Event().wait()
