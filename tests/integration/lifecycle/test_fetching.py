"""What a model needs is fetched by an engine by script, while Postgres is away: nobody listens where it should be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from aiohttp import web

from common.catalog.local import LocalModel
from common.database.connect import connect
from common.fleet.contracts import Fault
from common.fleet.store import FleetStore
from tests.integration.lifecycle.test_engine_faults import asking, serving
from worker.lifecycle.fetching import Fetching
from worker.lifecycle.template import Site
from worker.lifecycle.weights import Missing, WeightsFolder

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
SITE = Site(UUID(int=1), "here", "net", "address")
ENTRY = LocalModel.model_validate(
    {
        "id": "local-x",
        "source": {"repo": "org/name", "revision": "0" * 40},
        "engine": "transformers",
        "memory": "1 GiB",
    }
)


def frame(text: str) -> bytes:
    """A line as the engine sends it: docs.docker.com, ContainerAttach, "Stream format"."""
    body = f"2026-11-21T00:00:00Z {text}\n".encode()
    return bytes([1, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


class Engine:
    """Has every image; its container pulls into `folder`, if there is one, and says how far that is."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.pulls = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path.rpartition("/")[2]:
            case "POST", "create":
                return web.json_response({"Id": "c0ffee"}, status=201)
            case "POST", "start":
                self.pulls += 1
                if self._folder is not None:
                    self._folder.mkdir(parents=True)
                return web.Response(status=204)
            case "GET", "logs":
                return web.Response(body=frame('{"event": "progress", "bytes": 1, "total_bytes": 2}'))
            case "DELETE", _:
                return web.Response(status=204)
            case _:
                return web.json_response(ENDED)


ENDED = {
    "Id": "c0ffee",
    "Name": "/puller",
    "Created": "2026-11-21T10:00:00Z",
    "Config": {"Labels": {}},
    "State": {
        "Status": "exited", "StartedAt": "2026-11-21T10:00:01Z", "ExitCode": 0, "OOMKilled": False, "Error": "",
    },
    "NetworkSettings": {"Networks": {}, "Ports": {}},
}  # fmt: skip


@asynccontextmanager
async def fetched(tmp_path: Path, engine: Engine) -> AsyncIterator[Fetching]:
    """After it has begun and ended."""
    weights = WeightsFolder(tmp_path / "weights", str(tmp_path / "weights"))
    database = connect(NOWHERE, pool_size=1)
    has_ended = asyncio.Event()
    async with serving(engine.answer, tmp_path / "socket"), asking(tmp_path / "socket") as docker:
        fetching = Fetching(docker, FleetStore(database, "here"), weights, SITE, has_ended.set)
        fetching.begin(ENTRY)
        async with asyncio.timeout(30):
            await has_ended.wait()
        yield fetching
        await fetching.close()
    await database.dispose()


def folder(tmp_path: Path) -> Path:
    """Where the weights belong."""
    found = WeightsFolder(tmp_path / "weights", "").find(ENTRY)
    assert isinstance(found, Missing)
    return tmp_path / "weights" / found.folder


async def test_a_pull_goes_on_though_nobody_can_write_down_how_far_it_is(tmp_path: Path) -> None:
    async with fetched(tmp_path, Engine(folder(tmp_path))) as fetching:
        assert fetching.pulls == {}
        assert await fetching.present([ENTRY]) == {ENTRY.id}


async def test_weights_that_were_pulled_to_another_place_are_a_fault_and_not_pulled_for_ever(tmp_path: Path) -> None:
    engine = Engine(None)
    async with fetched(tmp_path, engine) as fetching:
        fault = fetching.pulls[ENTRY.id]
        assert isinstance(fault, Fault)
        assert fault.code == "weights_elsewhere"
        assert "ULTRA_WEIGHTS_VOLUME" in fault.message
        assert engine.pulls == 1
        fetching.forget_all_but({ENTRY.id})
        assert fetching.pulls[ENTRY.id] is fault
        fetching.forget_all_but(set())
        assert fetching.pulls == {}
