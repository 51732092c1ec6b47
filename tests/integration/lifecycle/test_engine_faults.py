"""Engines that are not well, played by a server that speaks as little of the API as that takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from common.ending import end
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import EngineAway, EngineTooOld
from worker.lifecycle.reconciler import AWAY_SECONDS, Reconciler

# Longer than anything here takes on a loaded machine; only a failure waits for it.
PATIENCE_SECONDS = 60

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, path: Path, *, oldest: str = "1.12", newest: str = "1.41") -> AsyncIterator[None]:
    """An engine of these versions, which says `answer` to everything else."""

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"MinAPIVersion": oldest, "ApiVersion": newest})

    app = web.Application()
    app.router.add_get("/version", version)
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(
    path: Path, *, patience_seconds: float = PATIENCE_SECONDS, silence_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[DockerEngine]:
    engine = DockerEngine(f"unix://{path}", patience_seconds=patience_seconds, silence_seconds=silence_seconds)
    try:
        yield engine
    finally:
        await engine.close()


async def nothing(_: web.Request) -> web.Response:
    return web.json_response([])


def saying(said: str) -> Answer:
    async def say(_: web.Request) -> web.Response:
        return web.Response(text=said)

    return say


async def silence(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def begin_and_fall_silent(request: web.Request) -> web.StreamResponse:
    await web.StreamResponse().prepare(request)
    return await silence(request)


@pytest.mark.parametrize(
    ("oldest", "newest", "spoken"), [("1.12", "1.41", "v1.41"), ("1.24", "1.47", "v1.47"), ("1.44", "1.99", "v1.51")]
)
async def test_the_newest_version_that_both_speak_is_spoken(
    tmp_path: Path, oldest: str, newest: str, spoken: str
) -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return await nothing(request)

    socket = tmp_path / "socket"
    async with serving(note, socket, oldest=oldest, newest=newest), asking(socket) as engine:
        assert await engine.ours("any") == []
    assert asked == [f"/{spoken}/containers/json"]


@pytest.mark.parametrize(("oldest", "newest"), [("1.12", "1.40"), ("1.52", "1.60")])
async def test_an_engine_with_no_version_in_common_is_told_apart_from_one_that_is_away(
    tmp_path: Path, oldest: str, newest: str
) -> None:
    socket = tmp_path / "socket"
    async with serving(nothing, socket, oldest=oldest, newest=newest), asking(socket) as engine:
        with pytest.raises(EngineTooOld, match=oldest):
            await engine.ours("any")


@pytest.mark.parametrize("said", ["<html>", "[]", "{}", '{"MinAPIVersion": 1, "ApiVersion": 2}', '"engine"'])
async def test_a_server_that_is_no_engine_is_told_apart_from_one(tmp_path: Path, said: str) -> None:
    app = web.Application()
    app.router.add_get("/version", saying(said))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, tmp_path / "socket").start()
    async with asking(tmp_path / "socket") as engine:
        with pytest.raises(EngineAway, match="no Docker engine"):
            await engine.ours("any")
    await runner.cleanup()


async def test_an_answer_that_is_cut_off_by_a_proxy_is_no_fault_of_ours(tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    async with serving(saying('[{"Id": \n'), socket), asking(socket) as engine:
        with pytest.raises(EngineAway):
            await engine.ours("any")
        with pytest.raises(EngineAway):
            async for _ in engine.changes("any", time.time(), time.time() + 5):
                pass


async def test_an_engine_that_accepts_and_says_nothing_is_away(tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    async with serving(silence, socket), asking(socket, patience_seconds=0.2) as engine:
        with pytest.raises(EngineAway):
            await engine.ours("any")


async def test_an_engine_that_dies_in_the_middle_of_an_answer_is_away(tmp_path: Path) -> None:
    async def die(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"[{")
        assert request.transport is not None
        request.transport.close()
        return answer

    socket = tmp_path / "socket"
    async with serving(die, socket), asking(socket) as engine:
        with pytest.raises(EngineAway):
            await engine.ours("any")


async def test_events_that_do_not_end_when_they_should_mean_an_engine_that_is_away(tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    async with serving(begin_and_fall_silent, socket), asking(socket, patience_seconds=0.2) as engine:
        began = time.time()
        with pytest.raises(EngineAway):
            async for _ in engine.changes("any", began, began + 0.1):
                pass
        assert time.time() - began >= 0.25


async def test_an_engine_that_cannot_tell_what_one_container_takes_spoils_no_look(tmp_path: Path) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"message": "cannot read the cgroup"}, status=500)

    socket = tmp_path / "socket"
    async with serving(refuse, socket), asking(socket) as engine:
        assert await engine.memory_bytes("any") is None


async def test_an_engine_whose_clock_is_ahead_is_not_asked_for_events_without_a_pause(tmp_path: Path) -> None:
    asked: list[float] = []
    is_asked_again = asyncio.Event()

    async def end_at_once(_: web.Request) -> web.Response:
        asked.append(time.monotonic())
        if len(asked) > 1:
            is_asked_again.set()
        return web.Response()

    socket, nobody = tmp_path / "socket", cast("Any", None)
    async with serving(end_at_once, socket), asking(socket) as engine:
        reconciler = Reconciler(engine, nobody, nobody, nobody, nobody, installation="any", interval_seconds=5)
        watching = asyncio.create_task(reconciler.watch())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await is_asked_again.wait()
        await end([watching])
    assert asked[1] - asked[0] >= AWAY_SECONDS


async def test_a_log_that_is_followed_and_falls_silent_means_an_engine_that_is_away(tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    async with serving(begin_and_fall_silent, socket), asking(socket, silence_seconds=0.2) as engine:
        with pytest.raises(EngineAway):
            async for _ in engine.logs("any", tail=1, follow=True):
                pass


async def test_an_engine_that_comes_back_as_another_version_is_asked_anew(tmp_path: Path) -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return await nothing(request)

    socket = tmp_path / "socket"
    async with asking(socket) as engine:
        async with serving(note, socket, newest="1.41"):
            await engine.ours("any")
        with pytest.raises(EngineAway):
            await engine.ours("any")
        async with serving(note, socket, oldest="1.44", newest="1.48"):
            await engine.ours("any")
    assert asked == ["/v1.41/containers/json", "/v1.48/containers/json"]
