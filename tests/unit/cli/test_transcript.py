from typing import Any

from cli.transcript import Transcript, Waiting
from cli.watch import Event
from common.contracts.analyses import AskedModel
from tests.unit.cli.fake_server import answer, document, failed, story


def told(*events: tuple[str, dict[str, Any]], models: str = "ab") -> Transcript:
    transcript = Transcript.of([AskedModel(asked=f"alias-{name}", id=name) for name in models])
    for name, data in events:
        transcript.apply(Event(name, data))  # type: ignore[arg-type]
    return transcript


def call(number: int, model: str, **data: Any) -> dict[str, Any]:
    return {"call": f"call-{number}", "model": model, **data}


def test_deltas_gather_in_the_column_of_their_model() -> None:
    transcript = told(
        ("call.started", call(1, "b", attempt=1)),
        ("call.started", call(0, "a", attempt=1)),
        ("call.delta", call(1, "b", text="Ray")),
        ("call.delta", call(0, "a", text="Scat")),
        ("call.delta", call(1, "b", text="leigh")),
    )
    assert [(one.label, one.text, one.status) for one in transcript.asked] == [
        ("alias-a", "Scat", "running"),
        ("alias-b", "Rayleigh", "running"),
    ]


def test_a_reset_forgets_what_an_attempt_said() -> None:
    transcript = told(
        ("call.started", call(0, "a", attempt=1)),
        ("call.delta", call(0, "a", text="half an ans")),
        ("call.reset", {"call": "call-0", "attempt": 2}),
        ("call.started", call(0, "a", attempt=2)),
        ("call.delta", call(0, "a", text="whole")),
    )
    assert (transcript.asked[0].text, transcript.asked[0].attempt) == ("whole", 2)


def waits(number: int, model: str, state: str, reason: str | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    return "call.waiting", call(
        number, model, **{"asked": model, "state": state, "reason": reason, "progress": None} | more
    )


def test_a_call_waits_for_its_model_until_that_answers() -> None:
    started = ("call.started", call(0, "a", attempt=1))
    waiting = told(started, waits(0, "a", "queued", "Others are loading."), waits(0, "a", "starting"))
    assert waiting.asked[0].waiting == Waiting("a", "starting")
    for later in (
        ("call.delta", call(0, "a", text="Scat")),
        ("call.reset", {"call": "call-0", "attempt": 2}),
        ("call.finished", call(0, "a", answer=answer("a"))),
        ("call.failed", call(0, "a", answer=failed("a"))),
        ("job.finished", document(answer("a"), answer("b"))),
    ):
        assert told(started, waits(0, "a", "starting"), later).asked[0].waiting is None, later


def test_what_a_call_waits_for_may_be_another_model_and_cannot_steer_the_terminal() -> None:
    [column, _] = told(waits(0, "a", "queued", "It said last: \x1b[2Jboom", asked="local-b")).asked
    assert column.waiting == Waiting("local-b", "queued", "It said last: [2Jboom")


def test_the_final_answer_replaces_what_was_seen() -> None:
    transcript = told(
        ("call.delta", call(0, "a", text="with a g")),
        ("call.finished", call(0, "a", answer=answer("a", "without a gap"))),
    )
    assert transcript.asked[0].text == "without a gap"


def test_the_lead_models_call_gets_a_column_of_its_own_even_if_it_was_asked_before() -> None:
    transcript = told(
        ("call.finished", call(0, "a", answer=answer("a"))),
        ("call.failed", call(1, "b", answer=failed("b"))),
        ("call.started", call(2, "a", attempt=1)),
        ("call.delta", call(2, "a", text='{"summary"')),
    )
    assert [one.status for one in transcript.asked] == ["completed", "failed"]
    assert [(one.model, one.text) for one in transcript.later] == [("a", '{"summary"')]


def test_two_calls_of_one_model_are_two_columns() -> None:
    transcript = told(("call.delta", call(0, "a", text="one")), ("call.delta", call(1, "a", text="two")), models="aa")
    assert [one.text for one in transcript.asked] == ["one", "two"]


def test_a_model_cannot_steer_the_terminal() -> None:
    transcript = told(("call.delta", call(0, "a", text="\x1b]0;owned\x07\x1b[2J\x9b1mred\r\n\tfine")))
    assert transcript.asked[0].text == "]0;owned[2J1mred\n\tfine"


def test_the_document_is_the_last_word() -> None:
    final = document(answer("a", "from the document"), failed("b"), status="partial")
    transcript = told(("job.finished", final))
    assert transcript.document is not None
    assert [one.text for one in transcript.asked] == ["from the document", ""]


def test_a_whole_story_ends_in_its_document() -> None:
    final = document(answer("a", "one two"), answer("b"))
    transcript = told(*story(final))
    assert [one.text for one in transcript.asked] == ["one two", "Because of scattering."]
