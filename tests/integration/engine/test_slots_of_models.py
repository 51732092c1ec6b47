"""A model that declares `slots`, asked by two workers that could ask it 32 times at once each."""

import asyncio
from datetime import timedelta
from pathlib import Path

from tests.integration.engine.stack import Desk, Workers

CATALOG = """\
defaults: {models: [mock-narrow]}
models:
  mock-narrow: {slots: 2, parameters: {extra: {latency_seconds: 0.2}}}
"""
# Between an answer's last token and the time of its row.
SLACK = timedelta(milliseconds=30)


async def test_its_calls_take_turns_whichever_worker_makes_them(desk: Desk, team: Workers, tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(CATALOG)
    for _ in range(2):
        team.start(ULTRA_MODELS_PATH=str(path))
    ids = [await desk.submit(*["mock-narrow"] * 4, merge=False) for _ in range(12)]
    jobs = await asyncio.gather(*(desk.ended(job_id) for job_id in ids))
    calls = [call for job in jobs for call in job["calls"]]
    assert {call["status"] for call in calls} == {"completed"}
    assert len({call["worker"] for call in await desk.sql("SELECT worker FROM calls")}) == 2
    spans = [
        (row["finished_at"] - timedelta(milliseconds=row["latency"]) + SLACK, row["finished_at"] - SLACK)
        for row in await desk.sql("SELECT finished_at, (answer ->> 'latency_ms')::float AS latency FROM calls")
    ]
    assert max(sum(begin <= other < end for begin, end in spans) for other, _ in spans) <= 2
