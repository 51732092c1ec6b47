"""An engine that goes away under a worker: played by a wire to the real one that is cut, for others use it too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.lifecycle.station import Station, ask, docker, is_ready
from worker.lifecycle.docker_connection import DEFAULT_HOST

pytestmark = pytest.mark.docker


class Wire:
    """A socket that leads to the engine's while it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_unix_server(self._lead, self.path)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in list(self._ends):
            end.transport.abort()
        self.path.unlink()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(DEFAULT_HOST.removeprefix("unix://"))
        self._ends |= {writer, far_writer}
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._ends -= {writer, far_writer}
            writer.close()
            far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    wire = Wire(tmp_path / "docker.sock")
    await wire.mend()
    yield wire
    await wire.cut()


async def test_what_happened_while_the_engine_was_away_is_seen_when_it_is_back(station: Station, wire: Wire) -> None:
    crashed, wanted = station.has("a"), station.has("b")
    station.start_worker(DOCKER_HOST=f"unix://{wire.path}")
    before = await station.ready(crashed)
    await wire.cut()
    await station.want(wanted)
    assert (await ask(before))[0] == 200  # an engine that is away stops no container
    docker("kill", before["container"])
    await wire.mend()
    after = await station.until(crashed, lambda row: row["is_ready"] and row["generation"] > before["generation"])
    assert [one.id for one in await station.containers(crashed)] == [after["container"]]
    await station.until(wanted, is_ready)


async def test_an_engine_that_goes_away_while_a_model_starts_costs_no_attempt(station: Station, wire: Wire) -> None:
    model = station.has("a", environment={"LOAD_SECONDS": "3"})
    station.start_worker(DOCKER_HOST=f"unix://{wire.path}")
    await station.want(model)
    loading = await station.until(model, lambda row: row["container"] and row["started_at"])
    await wire.cut()
    await asyncio.sleep(1)
    await wire.mend()
    row = await station.until(model, is_ready)
    assert (row["container"], row["failures"]) == (loading["container"], 0)


async def test_a_worker_that_starts_before_the_engine_waits_for_it(station: Station, wire: Wire) -> None:
    model = station.has("a")
    await wire.cut()
    station.start_worker(DOCKER_HOST=f"unix://{wire.path}")
    await station.want(model)
    while "no model is looked after yet" not in station.logs():  # noqa: ASYNC110  # another process writes it
        await asyncio.sleep(0.1)
    await wire.mend()
    await station.until(model, is_ready)
