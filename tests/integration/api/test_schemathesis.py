"""Random input of every kind against a served API: no 500, and nothing that the documentation does not tell."""

import asyncio
import resource
import sys
from pathlib import Path

import httpx
import orjson

from common.presence import WORKERS_KEY, worker_key
from tests.integration.api.acting import ActingWorker

EXAMPLES_AN_OPERATION = 6
MEMORY_BYTES = 4 * 1024**3
PATIENCE_SECONDS = 600
# A schema cannot tell which analysis types and models this installation knows, so that well-formed
# submissions may be refused all the same: that check is about schemas that could have told.
LEFT_OUT = "positive_data_acceptance"


def cap_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


async def end_jobs(api: httpx.AsyncClient) -> None:
    """Cancel what was submitted, for ever: the event stream of a job that nobody runs would never end."""
    while True:
        queued = (await api.get("/api/analyses", params={"status": "queued", "limit": 100})).json()["data"]
        for job in queued:
            await api.post(job["links"]["cancel"])
        await asyncio.sleep(0.05)


async def test_random_input_finds_no_fault_and_no_undocumented_answer(
    api: httpx.AsyncClient, worker: ActingWorker, tmp_path: Path
) -> None:
    record = {"name": "all", "queues": ["control", "cloud", "local"], "consumes": True}
    await worker.redis.set(worker_key("all"), orjson.dumps(record))
    await worker.redis.sadd(WORKERS_KEY, "all")
    ending = asyncio.create_task(end_jobs(api))
    tester = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.base_url}/openapi.json"),
        *("--checks", "all", "--exclude-checks", LEFT_OUT, "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", str(EXAMPLES_AN_OPERATION), "--request-timeout", "60", "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=cap_memory,
    )
    try:
        output, _ = await asyncio.wait_for(tester.communicate(), PATIENCE_SECONDS)
    finally:
        ending.cancel()
        if tester.returncode is None:
            tester.kill()
            await tester.wait()
    assert tester.returncode == 0, output.decode()
