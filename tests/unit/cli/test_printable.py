"""Errors and reasons quote containers and servers, which may say anything: wherever shown, they are harmless."""

import json
from io import StringIO

import pytest
import typer
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from cli.each import Deed, do_each
from cli.exits import CommandFailed, ErrorsInOneLine
from cli.terminal import print_json
from cli.views.catalog import model_table
from cli.views.figures import outcome
from cli.views.fleet import fleet_table, standing
from common.contracts.calls import Answer
from common.contracts.fleet import InstanceStatus
from common.contracts.models import ModelDocument
from common.fleet.documents import instance, status
from tests.unit.cli.fake_server import failed
from tests.unit.common.fleet.scripted_rows import local_model

EVIL = "It said last: \x1b]0;owned\x07\x1b[2J\x9b1mred"


def drawn(table: Table) -> str:
    file = StringIO()
    Console(file=file, width=200, color_system=None).print(table)
    return file.getvalue()


def is_harmless(shown: str) -> bool:
    return "It said last" in shown and not {"\x1b", "\x07", "\x9b"} & set(shown)


def test_in_an_error() -> None:
    app = typer.Typer(cls=ErrorsInOneLine)

    @app.command()
    def one() -> None:
        raise CommandFailed(EVIL)

    @app.command()
    def two() -> None: ...

    assert is_harmless(CliRunner().invoke(app, ["one"]).stderr)


def test_in_json_which_means_what_it_meant(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": EVIL + "\x7f \N{LATIN SMALL LETTER E WITH ACUTE}"})
    shown = capsys.readouterr().out
    assert is_harmless(shown)
    assert "\x7f" not in shown
    assert json.loads(shown) == {"text": EVIL + "\x7f \N{LATIN SMALL LETTER E WITH ACUTE}"}


async def test_in_an_error_of_one_job_among_several(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(_job_id: str) -> Deed:
        raise CommandFailed(EVIL)

    await do_each(["a"], act, as_json=False)
    assert is_harmless(capsys.readouterr().err)


@pytest.mark.parametrize("state", ["queued", "failed"])
def test_in_the_state_of_a_model(state: str) -> None:
    said = {"state": state, "reason": EVIL, "last_error": {"code": "crashed", "message": EVIL}}
    fleet = status([local_model()], [], [], [])
    fleet.models = [InstanceStatus.model_validate(instance("local-a", None).model_dump() | said)]
    assert is_harmless(drawn(fleet_table(fleet)))


def test_in_the_progress_of_an_operation() -> None:
    progress = {"phase": "queued", "reason": EVIL, "details": None}
    assert is_harmless(standing({"model_id": "local-a", "status": "running", "progress": progress}))


def test_in_the_outcome_of_a_call() -> None:
    assert is_harmless(outcome(Answer.model_validate(failed("a", EVIL))))


def test_in_the_list_of_models() -> None:
    model = ModelDocument(
        id="local-a", aliases=[], provider="local", local=True, available=False, reason=EVIL, state="failed",
        context_window=None, capabilities=[], fallbacks=[], price=None, description=None,
    )  # fmt: skip
    assert is_harmless(drawn(model_table([model])))
