"""llm-comply, a conformance suite of others, against the three interfaces."""

import asyncio
import sys
from typing import Any

import httpx
import orjson
import pytest

from tests.contract.scripted_server import ScriptedServer
from tests.integration.gateway.capable import capable

SECONDS = 60.0
# It looks at a model's name for whether that one thinks, and skips what concerns thinking where it does not.
THINKERS = {"openai-chat": "gpt-5-capable", "anthropic": "claude-opus-capable", "open-responses": "gpt-5-capable"}
ABOUT_THINKING = {"chat-reasoning-summary", "anth-thinking-display", "reasoning-summary"}
# The suite allows a server not to have it, with a warning: we keep no conversation that could be compacted.
WITHOUT = {"compact-response"}

Result = dict[str, Any]


@pytest.fixture
def models() -> dict[str, Any]:
    return {
        "scripted-capable": {"aliases": sorted(set(THINKERS.values())), "capabilities": ["chat", "tools", "vision"]}
    }


@pytest.mark.parametrize("interface", THINKERS)
async def test_a_model_that_can_do_everything_passes_whole(
    api: httpx.AsyncClient, server: ScriptedServer, interface: str
) -> None:
    server.scripts["capable"] = capable
    results = await comply(api, interface, THINKERS[interface])
    assert len(results) >= 9
    assert {result["id"] for result in results} & ABOUT_THINKING
    assert [result for result in results if result["status"] != "passed"] == []
    assert [result for result in results if result.get("warnings") and result["id"] not in WITHOUT] == []


@pytest.mark.parametrize("interface", THINKERS)
async def test_a_model_behind_an_adapter_passes_all_but_thinking(api: httpx.AsyncClient, interface: str) -> None:
    results = await comply(api, interface, "mock-a")
    for result in results:
        assert result["status"] == ("skipped" if result["id"] in ABOUT_THINKING else "passed"), result
    assert [result for result in results if result.get("warnings") and result["id"] not in WITHOUT] == []


async def comply(api: httpx.AsyncClient, interface: str, model: str) -> list[Result]:
    """What became of each of its tests."""
    program = [sys.executable, "-P", "-m", "llm_comply.cli", "--json", "--api-key", "none"]
    target = ["--base-url", f"{api.base_url}/v1", "--format", interface, "--model", model]
    process = await asyncio.create_subprocess_exec(*program, *target, stdout=asyncio.subprocess.PIPE)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    results: list[Result] = orjson.loads(said)["results"]
    return results
