"""`ultra fleet`, as people run it."""

import asyncio
import os

import httpx

from tests.contract.scripted_instance import ScriptedInstance
from tests.integration.engine.stack import ULTRA
from tests.integration.fleet.conftest import MODEL
from tests.integration.fleet.keeper import PATIENCE_SECONDS, ActingKeeper


async def ultra(api: httpx.AsyncClient, *arguments: str) -> tuple[int, str, str]:
    """The exit code, and what it said on standard output and on standard error."""
    process = await asyncio.create_subprocess_exec(
        ULTRA, "fleet", *arguments, env={**os.environ, "ULTRA_URL": str(api.base_url), "COLUMNS": "160"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert process.returncode is not None
    return process.returncode, said[0].decode(), said[1].decode()


async def test_a_model_is_run_shown_and_stopped(
    api: httpx.AsyncClient, keeper: ActingKeeper, container: ScriptedInstance
) -> None:
    running = asyncio.create_task(ultra(api, "run", "tiny"))
    await keeper.wanted(MODEL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await keeper.wishes(MODEL):  # noqa: ASYNC110  # a row has no event
            await asyncio.sleep(0.01)
    await keeper.serve(MODEL, container.base_url)
    code, said, _ = await running
    assert (code, said) == (0, f"{MODEL}: ready\n")
    code, said, _ = await ultra(api)
    assert code == 0
    assert said.splitlines()[1].split()[:3] == [MODEL, "ready", "here"]
    code, said, _ = await ultra(api, "stop", MODEL, "--no-wait")
    assert (code, said) == (0, f"{MODEL}: ready\n")


async def test_a_start_that_fails_is_an_exit_code_and_a_line(api: httpx.AsyncClient, keeper: ActingKeeper) -> None:
    running = asyncio.create_task(ultra(api, "run", MODEL))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await keeper.wishes(MODEL):  # noqa: ASYNC110  # a row has no event
            await asyncio.sleep(0.01)
    await keeper.fail(MODEL, "There is no file tiny.gguf.")
    code, _, said = await running
    assert (code, said.splitlines()[-1]) == (1, f"error: {MODEL}: There is no file tiny.gguf.")


async def test_a_name_that_is_none_is_answered_with_the_nearest(api: httpx.AsyncClient) -> None:
    code, _, said = await ultra(api, "run", "tinny")
    assert code == 2
    assert MODEL in said
