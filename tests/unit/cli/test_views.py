import io
import json
import time
from typing import Any

import pytest
from rich.console import Console

from cli.transcript import Transcript
from cli.views.figures import duration
from cli.views.live import frame
from cli.views.panels import layout
from cli.views.report import report
from cli.watch import Event
from common.contracts.analyses import AnalysisDocument, AskedModel
from tests.unit.cli.fake_server import answer, document, failed, story

# A frame is drawn twelve times a second; repairing this nonsense to its end would take many seconds.
A_MOMENT_SECONDS = 2

COMPARISON = {
    "parsed": True,
    "summary": "Both say scattering.",
    "agreements": ["Light scatters", "Blue scatters [more]"],
    "disagreements": [],
    "ranking": [{"model": "b", "score": 9, "why": "complete"}, {"model": "a", "score": 4, "why": "short"}],
    "recommendation": "Rely on b.",
}


def screen(width: int = 100, height: int = 30) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, markup=False, highlight=False)


def reported(final: dict[str, Any], *, with_answers: bool = True) -> str:
    console = screen()
    console.print(report(AnalysisDocument.model_validate(final), console, with_answers=with_answers))
    return console.file.getvalue()  # type: ignore[attr-defined]


def framed(transcript: Transcript, width: int = 100, height: int = 30) -> str:
    console = screen(width, height)
    for drawn in frame(transcript, console):
        console.print(drawn)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("count", "width", "panels_a_row"), [(2, 80, 2), (2, 60, 1), (3, 120, 3), (3, 80, 2), (1, 200, 1), (5, 20, 1)]
)
def test_panels_stand_side_by_side_where_there_is_room(count: int, width: int, panels_a_row: int) -> None:
    assert layout(count, width, 40).panels_a_row == panels_a_row


@pytest.mark.parametrize(("width", "height"), [(160, 40), (80, 24), (50, 60)])
def test_a_frame_fits_the_screen_however_long_the_answers(width: int, height: int) -> None:
    final = document(answer("a", "word " * 5000), answer("b", "line\n" * 500), answer("c"))
    transcript = Transcript.of(AnalysisDocument.model_validate(final).models)
    for name, data in story(final)[:-1]:
        transcript.apply(Event(name, data))  # type: ignore[arg-type]
    lead = {"call": "lead", "model": "a", "text": '{"summary": "' + "much " * 900}
    transcript.apply(Event("call.delta", lead))
    assert len(framed(transcript, width, height).splitlines()) < height


@pytest.mark.parametrize(("width", "height"), [(100, 30), (40, 24), (30, 12)])
def test_a_call_that_waits_for_its_model_says_what_for_however_narrow_the_screen(width: int, height: int) -> None:
    transcript = Transcript.of([AskedModel(asked="tiny", id="local-tiny"), AskedModel(asked="b", id="b")])
    reason = "Waits for memory: what holds it is at work, pinned, or just started. " * 9
    for name, call, model in (("call.started", "0", "local-tiny"), ("call.delta", "1", "b")):
        transcript.apply(Event(name, {"call": call, "model": model, "attempt": 1, "text": "Light scatters."}))  # type: ignore[arg-type]
    waiting = {"call": "0", "model": "local-tiny", "state": "queued", "reason": reason, "progress": None}
    transcript.apply(Event("call.waiting", waiting))
    shown = framed(transcript, width, height)
    assert "local-tiny: queued" in shown
    assert "waiting" in shown
    assert "running" in shown, "the other one does not wait"
    assert max(map(len, shown.splitlines())) <= width
    transcript.apply(Event("call.delta", {"call": "0", "model": "local-tiny", "text": "Because."}))
    assert "queued" not in framed(transcript, width, height)


def test_a_document_that_is_still_growing_is_read_as_far_as_it_goes() -> None:
    transcript = Transcript.of([AskedModel(asked="b", id="b")])
    text = '{"summary": "Both say scattering", "agreements": ["Light scat'
    transcript.apply(Event("call.delta", {"call": "lead", "model": "a", "text": text}))
    shown = framed(transcript)
    assert "• Light scat" in shown
    assert "{" not in shown


@pytest.mark.parametrize("text", ["{" * 900, '{"' * 20_000, '{"summary": ' * 900])
def test_a_document_without_sense_is_shown_as_text_in_time(text: str) -> None:
    transcript = Transcript.of([AskedModel(asked="b", id="b")])
    transcript.apply(Event("call.delta", {"call": "lead", "model": "a", "text": text}))
    began = time.process_time()
    assert text[-20:] in framed(transcript)
    assert time.process_time() - began < A_MOMENT_SECONDS


def test_no_field_of_a_document_steers_the_terminal() -> None:
    transcript = Transcript.of([AskedModel(asked="b", id="b")])
    text = json.dumps({"\x1b[2Jsummary": "x\x1b[2J", "ranking": [{"\x1b]0;why": "\x1b[2Jy"}]})
    transcript.apply(Event("call.delta", {"call": "lead", "model": "a", "text": text}))
    shown = framed(transcript)
    assert "[2jsummary" in shown
    assert "]0;why" in shown
    assert "\x1b" not in shown


def test_the_report_shows_answers_comparison_and_figures() -> None:
    shown = reported(document(answer("a", "Short."), answer("b", "Long."), result=COMPARISON))
    for expected in ("Short.", "Long.", "Agreements", "• Blue scatters [more]", "5 → 7", "1.2 s", "80 ms"):
        assert expected in shown
    assert shown.index("complete") < shown.index("Recommendation")
    assert "Disagreements" not in shown


def test_answers_that_were_seen_are_not_repeated() -> None:
    assert "Short." not in reported(document(answer("a", "Short.")), with_answers=False)


def test_the_report_names_what_failed() -> None:
    shown = reported(document(answer("a"), failed("b"), status="partial"))
    assert "rate_limited" in shown
    assert "partial" in shown


def test_a_reply_of_the_wrong_form_is_shown_as_such() -> None:
    shown = reported(document(answer("a"), result={"parsed": False, "text": "I think both are fine."}))
    assert "did not have the form" in shown
    assert "I think both are fine." in shown


def test_another_type_of_analysis_is_shown_by_its_shape() -> None:
    claims = [{"claim": "It is blue.", "verdict": "supported", "support": "all agree"}]
    shown = reported(document(answer("a"), result={"answer": "Blue.", "claims": claims, "confidence": 0.9}))
    assert "supported" in shown
    assert "0.9" in shown


def test_who_served_in_whose_place_is_said() -> None:
    assert "a (served by b)" in reported(document(answer("a", served_by="b")))


def test_durations_read_naturally() -> None:
    shown = [duration(value) for value in (None, 12.4, 999.9, 61_000, 3_600_000)]
    assert shown == ["-", "12 ms", "1000 ms", "1 min 1 s", "60 min 0 s"]
