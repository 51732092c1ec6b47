"""The help is read on a terminal of 80 characters."""

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app


def groups() -> list[str]:
    """The words that lead to each command with others below it, and none for `ultra` itself."""
    below = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return ["", *(name for name, command in below.items() if hasattr(command, "commands"))]


@pytest.mark.parametrize("words", groups())
def test_a_list_of_commands_says_of_each_a_whole_sentence(words: str) -> None:
    shown = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": "80"}).stdout
    _, _, commands = shown.partition("Commands:\n")
    assert commands
    assert [line for line in commands.splitlines() if line.endswith("...") or not line.endswith(".")] == []
