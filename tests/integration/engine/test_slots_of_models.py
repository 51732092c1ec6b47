"""A model that declares `slots`, asked by two workers that could ask it many times at once each."""

import asyncio
from pathlib import Path

from tests.integration.engine.gated import GATED, Gated
from tests.integration.engine.stack import PATIENCE_SECONDS, Desk, Workers


async def test_its_calls_take_turns_whichever_worker_makes_them(desk: Desk, team: Workers, tmp_path: Path) -> None:
    async with Gated().running() as server:
        for _ in range(2):
            team.start(**server.catalog(tmp_path, slots=2))
        ids = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while server.at_once < 2 or len(await desk.sql("SELECT DISTINCT worker FROM calls WHERE worker > ''")) < 2:
                ids.append(await desk.submit(*[GATED] * 4, merge=False))
                await asyncio.sleep(0.1)
        server.gate.set()
        jobs = await asyncio.gather(*(desk.ended(job_id) for job_id in ids))
    assert {call["status"] for job in jobs for call in job["calls"]} == {"completed"}
    assert server.most_at_once == 2
