"""Rows that a test moves by hand, in the place of Postgres."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from common.catalog.local import LocalModel
from common.fleet.contracts import Endpoint, Fault, State
from common.fleet.standing import Standing

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def local_model(name: str = "local-a", **fields: object) -> LocalModel:
    given = {"source": {"path": "a.gguf"}, "engine": "llamacpp", "memory": "1 GiB"} | fields
    return LocalModel.model_validate({"id": name} | given)


class ScriptedRows:
    """See `Rows`. Each asking and each look is a second later than what was before."""

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.now = NOON
        self.looks = 0
        self.wishes: list[str] = []
        self.live_nodes = ["here"]
        self.away: Exception | None = None
        self._looked = asyncio.Condition()

    async def look(self, models: Collection[str]) -> dict[str, Standing]:
        self.looks += 1
        async with self._looked:
            self._looked.notify_all()
        if self.away is not None:
            raise self.away
        return {model: self.standings[model] for model in models if model in self.standings}

    async def want(self, model: str) -> datetime:
        self.wishes.append(model)
        wanted_at = self._tick()
        there = self.standings.get(model, Standing(model, State.QUEUED))
        self.standings[model] = replace(there, is_wanted=True, wanted_at=wanted_at)
        return wanted_at

    async def nodes(self) -> list[str]:
        return self.live_nodes

    async def looked_again(self, times: int = 1) -> None:
        """Wait for whole looks that began after this."""
        seen = self.looks
        async with self._looked:
            await self._looked.wait_for(lambda: self.looks > seen + times)

    async def wished(self) -> None:
        """Wait until somebody has asked for something."""
        async with self._looked:
            await self._looked.wait_for(lambda: bool(self.wishes))

    def be(self, model: str, state: State, reason: str | None = None) -> None:
        self.standings[model] = replace(self._there(model), state=state, reason=reason, endpoint=None)

    def be_ready(self, model: str, generation: int = 1, at: str = "http://127.0.0.1:1") -> Endpoint:
        endpoint = Endpoint(at, generation, "here")
        self.standings[model] = replace(
            self._there(model), state=State.READY, endpoint=endpoint, seen_at=self._tick(), reason=None
        )
        return endpoint

    def be_seen(self, model: str) -> None:
        """Its node looked at it, and found it as it was."""
        self.standings[model] = replace(self._there(model), seen_at=self._tick())

    def fail(self, model: str, message: str) -> None:
        self.standings[model] = replace(
            self._there(model), state=State.FAILED, fault=Fault("load_failed", message), failed_at=self._tick()
        )

    def stop(self, model: str) -> None:
        self.standings[model] = replace(self._there(model), is_wanted=False, state=State.STOPPED, endpoint=None)

    def _there(self, model: str) -> Standing:
        return self.standings.get(model) or Standing(model, State.QUEUED, is_wanted=True)

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now
