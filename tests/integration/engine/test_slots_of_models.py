"""A model that declares `slots`, asked by two workers that could ask it 32 times at once each."""

import asyncio
from pathlib import Path

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import PROSE, ScriptedServer
from tests.integration.engine.stack import Desk, Workers

CATALOG = """\
defaults: {{models: [narrow-one]}}
servers: {{narrow: {{base_url: "{url}"}}}}
models: {{narrow-one: {{slots: 2}}}}
"""
ANSWER_SECONDS = 0.2


class Narrow(ScriptedServer):
    """A server that takes its time, and knows how many it answers at once."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts["one"] = self._answer
        self.at_once = self.most_at_once = 0

    async def _answer(self, exchange: Exchange) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await exchange.begin()
        await asyncio.sleep(ANSWER_SECONDS)
        for word in PROSE:
            await exchange.say(word)
        # before the client can know that it has all of it
        self.at_once -= 1
        await exchange.finish("stop", completion_tokens=len(PROSE))


async def test_its_calls_take_turns_whichever_worker_makes_them(desk: Desk, team: Workers, tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    async with Narrow().running() as server:
        path.write_text(CATALOG.format(url=server.url))
        for _ in range(2):
            team.start(ULTRA_MODELS_PATH=str(path))
        ids = [await desk.submit(*["narrow-one"] * 4, merge=False) for _ in range(8)]
        jobs = await asyncio.gather(*(desk.ended(job_id) for job_id in ids))
    assert {call["status"] for job in jobs for call in job["calls"]} == {"completed"}
    assert len({call["worker"] for call in await desk.sql("SELECT worker FROM calls")}) == 2
    assert server.most_at_once == 2
