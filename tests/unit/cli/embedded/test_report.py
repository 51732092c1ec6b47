import pytest

from cli.embedded.report import LiveReport, PlainReport, Report, report_for


def tell(report: Report) -> None:
    report.starting("postgres")
    report.starting("model")
    report.ready("postgres", 0.123)
    report.notice("model [x] was killed")
    report.failed("model")
    report.stopping()


def test_a_pipe_gets_a_line_an_event_and_faults_apart(capsys: pytest.CaptureFixture[str]) -> None:
    tell(PlainReport())
    said = capsys.readouterr()
    assert said.out.splitlines() == ["  postgres up in 0.1 s", "  model failed", "stopping"]
    assert said.err == "model [x] was killed\n"


def test_a_terminal_sees_what_is_still_starting(capsys: pytest.CaptureFixture[str]) -> None:
    tell(LiveReport())
    said = capsys.readouterr().out
    assert "… postgres, model" in said
    assert "✓ postgres 0.1 s" in said
    assert "model [x] was killed" in said
    # what was drawn for the eye is erased before the next line, and nothing of it is left at the end
    assert said.split("\x1b[2K")[-1].strip() == "stopping"


def test_the_report_fits_where_the_output_goes() -> None:
    assert isinstance(report_for(output_is_terminal=True), LiveReport)
    assert isinstance(report_for(output_is_terminal=False), PlainReport)
