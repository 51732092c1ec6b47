from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cli.transcript import Transcript
from cli.views.lines import Lines, whole_lines
from cli.watch import Event
from common.contracts.analyses import AskedModel
from tests.unit.cli.fake_server import answer, failed


def printed(*events: tuple[str, dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    transcript = Transcript.of([AskedModel(asked="ada", id="ada"), AskedModel(asked="charles", id="charles")])
    with Lines(lines.append) as view:
        for name, data in events:
            event = Event(name, data)  # type: ignore[arg-type]
            view.show(transcript, event, transcript.apply(event))
    return lines


def delta(number: int, model: str, text: str) -> tuple[str, dict[str, Any]]:
    return "call.delta", {"call": f"call-{number}", "model": model, "text": text}


def finished(number: int, model: str, text: str) -> tuple[str, dict[str, Any]]:
    return "call.finished", {"call": f"call-{number}", "model": model, "answer": answer(model, text)}


def test_lines_of_models_never_mix() -> None:
    assert printed(
        delta(0, "ada", "The sk"),
        delta(1, "charles", "Light\nscat"),
        delta(0, "ada", "y is blue.\nVery"),
        finished(0, "ada", "The sky is blue.\nVery blue."),
        finished(1, "charles", "Light\nscatters."),
    ) == [
        "charles │ Light",
        "ada     │ The sky is blue.",
        "ada     │ Very blue.",
        "ada     │ (7 tokens, 1.2 s)",
        "charles │ scatters.",
        "charles │ (7 tokens, 1.2 s)",
    ]


def test_an_answer_that_was_not_streamed_is_printed_whole() -> None:
    assert printed(finished(0, "ada", "All of it."))[0] == "ada     │ All of it."


def test_a_new_attempt_is_announced_and_printed_from_its_beginning() -> None:
    assert printed(
        delta(0, "ada", "Wrong\n"),
        ("call.reset", {"call": "call-0", "attempt": 2}),
        delta(0, "ada", "Right\n"),
    ) == ["ada     │ Wrong", "ada     │ (attempt 2, from the beginning)", "ada     │ Right"]


def test_a_failure_says_why() -> None:
    failure = ("call.failed", {"call": "call-0", "model": "ada", "answer": failed("ada", "Too many requests.")})
    assert printed(failure) == ["ada     │ (failed: Too many requests.)"]


def waits(state: str, reason: str | None = None, done_bytes: int = 0) -> tuple[str, dict[str, Any]]:
    progress = {"phase": "weights", "done_bytes": done_bytes, "total_bytes": 400 << 20} if state == "pulling" else None
    data = {"call": "call-0", "model": "ada", "asked": "ada", "state": state, "reason": reason, "progress": progress}
    return "call.waiting", data


def test_what_a_call_waits_for_is_a_line_a_state() -> None:
    assert printed(
        waits("queued"),
        waits("pulling", done_bytes=100 << 20),
        waits("pulling", done_bytes=200 << 20),
        waits("queued", "Others are loading."),
        waits("starting"),
        delta(0, "ada", "Yes.\n"),
    ) == [
        "ada     │ (ada: queued)",
        "ada     │ (ada: pulling 100 of 400 MiB)",
        "ada     │ (ada: queued: Others are loading.)",
        "ada     │ (ada: starting)",
        "ada     │ Yes.",
    ]


def test_the_lead_models_json_is_left_to_the_report() -> None:
    lines = printed(
        finished(0, "ada", "yes"),
        finished(1, "charles", "no"),
        ("call.started", {"call": "call-2", "model": "ada", "attempt": 1}),
        delta(2, "ada", '{"summary": "They'),
    )
    assert lines[4:] == ["ada     │ comparing the answers…"]


@given(st.text(alphabet="ab \n", max_size=400), st.integers(1, 40))
def test_breaking_lines_loses_nothing(text: str, width: int) -> None:
    lines, rest = whole_lines(text, is_ended=False, width=width)
    kept = "".join(lines) + rest
    assert kept.replace("\n", "") == text.replace("\n", "")
    assert all(len(line) <= width for line in [*lines, rest])
