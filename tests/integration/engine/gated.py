"""A model that answers when a test lets it, so that what happens meanwhile does not depend on the machine's speed."""

import asyncio
from pathlib import Path

from tests.contract.exchange import Exchange
from tests.contract.scripted_server import PROSE, ScriptedServer

CATALOG = """\
defaults: {{models: [gated-one]}}
servers: {{gated: {{base_url: "{url}"}}}}
models: {{gated-one: {{slots: {slots}}}}}
"""
GATED = "gated-one"


class Gated(ScriptedServer):
    """Its server, which knows how many it answers at once."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts["one"] = self._answer
        self.gate = asyncio.Event()
        self.at_once = self.most_at_once = 0

    def catalog(self, folder: Path, *, slots: int = 100) -> dict[str, str]:
        """What to tell workers of it."""
        path = folder / "models.yaml"
        path.write_text(CATALOG.format(url=self.url, slots=slots))
        return {"ULTRA_MODELS_PATH": str(path)}

    async def _answer(self, exchange: Exchange) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await exchange.begin()
        await self.gate.wait()
        for word in PROSE:
            await exchange.say(word)
        # before the client can know that it has all of it
        self.at_once -= 1
        await exchange.finish("stop", completion_tokens=len(PROSE))
