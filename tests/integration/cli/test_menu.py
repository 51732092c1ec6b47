"""The menu in a real terminal, over a real stack."""

import json
from pathlib import Path
from typing import Any

import httpx

from cli.embedded.stack import Stack
from tests.integration.cli.terminal import CTRL_C, CTRL_D, DOWN, ENTER, Terminal
from tests.integration.cli.ultra import ultra


def newest(stack: Stack, home: Path) -> dict[str, Any]:
    [line] = json.loads(ultra(home, "jobs", "-n", "1", "--json", ULTRA_URL=stack.url).stdout)["data"]
    document: dict[str, Any] = json.loads(ultra(home, "show", line["id"], "--json", ULTRA_URL=stack.url).stdout)
    return document


def compose(terminal: Terminal, prompt: str) -> None:
    """To the last question, with the default type, models and lead."""
    terminal.wait_for("What now?")
    terminal.press(ENTER)
    terminal.wait_for("Analysis type")
    terminal.press(ENTER)
    terminal.wait_for("Models")
    terminal.press(ENTER)
    terminal.wait_for("Prompt")
    terminal.press(prompt + ENTER)
    terminal.wait_for("Who compares")
    terminal.press(ENTER)
    terminal.wait_for("Ready?")


def test_a_person_asks_looks_back_and_leaves(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "question.txt").write_text("Why is the sky blue?")
    with Terminal(tmp_path, "menu", ULTRA_URL=stack.url) as terminal:
        compose(terminal, "@question.txt")
        terminal.press(ENTER)
        terminal.wait_for("Recommendation")
        terminal.wait_for("This analysis is completed")
        terminal.press(CTRL_C)
        terminal.wait_for("What now?")
        asked = newest(stack, tmp_path)
        assert (asked["status"], asked["prompt"]) == ("completed", "Why is the sky blue?")

        terminal.press(DOWN + ENTER)
        terminal.wait_for("Past analyses")
        terminal.press(ENTER)
        terminal.wait_for(asked["answers"][0]["text"].split()[1])
        terminal.wait_for(f"{asked['id']} completed")
        terminal.wait_for("This analysis is completed")
        terminal.press(DOWN + DOWN + ENTER)
        terminal.wait_for("for good?")
        terminal.press("y")
        terminal.wait_for("What now?" if asked == {} else "Past analyses")
        terminal.press(CTRL_D)
        assert terminal.exit_code() == 0
    gone = ultra(tmp_path, "show", asked["id"], ULTRA_URL=stack.url)
    assert (gone.returncode, gone.stdout) == (2, "")


def test_ctrl_c_leaves_a_running_analysis_to_be_found_again_and_cancelled(stack: Stack, tmp_path: Path) -> None:
    asked = {"prompt": "Why?", "models": ["mock-minute"]}
    httpx.post(f"{stack.url}/api/analyze", json=asked, timeout=60).raise_for_status()
    with Terminal(tmp_path, "menu", ULTRA_URL=stack.url) as terminal:
        terminal.wait_for("What now?")
        terminal.press(DOWN + ENTER)
        terminal.wait_for("mock-minute")
        terminal.press(ENTER)
        terminal.wait_for("This analysis is running")
        terminal.press(ENTER)
        terminal.wait_for("Ctrl-C leaves it running")
        terminal.press(CTRL_C)
        terminal.wait_for("ultra show")
        terminal.wait_for("This analysis is running")
        terminal.press(DOWN + DOWN + ENTER)
        terminal.wait_for("This analysis is cancelled")
        terminal.press(CTRL_D)
        assert terminal.exit_code() == 0
    assert newest(stack, tmp_path)["status"] == "cancelled"


def test_without_a_terminal_there_is_one_line_that_names_another_way(stack: Stack, tmp_path: Path) -> None:
    result = ultra(tmp_path, "menu", ULTRA_URL=stack.url)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "ultra analyze" in result.stderr


def test_nobody_listening_is_said_before_any_question(tmp_path: Path) -> None:
    with Terminal(tmp_path, "menu", ULTRA_URL="http://127.0.0.1:1") as terminal:
        assert terminal.exit_code() == 4
    assert "ultra up" in terminal.screen
    assert "What now?" not in terminal.screen
