import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from common.fleet.contracts import LABEL_INSTALLATION
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import EngineAway, EngineRefused, NameTaken, NoSuchContainer, NoSuchImage

pytestmark = pytest.mark.docker


def config(image: str, installation: str, script: str = "", **labels: str) -> dict[str, Any]:
    return {
        "Image": image,
        "Entrypoint": ["python3", "-uc", script or "import signal; signal.pause()"],
        "Labels": {LABEL_INSTALLATION: installation, **labels},
        "HostConfig": {"Init": True},
    }


async def ended(engine: DockerEngine, container: str) -> int | None:
    """Waits for the end of a container; returns its exit code."""
    async for _ in engine.logs(container, tail=0, follow=True):
        pass
    return (await engine.inspect(container)).exit_code


async def test_a_container_is_created_started_ended_and_removed(
    engine: DockerEngine, docker: str, installation: str
) -> None:
    container = await engine.create(f"ultra-{installation}", config(docker, installation))
    created = await engine.inspect(container)
    assert (created.status, created.started_at, created.exit_code) == ("created", None, None)

    await engine.start(container)
    running = await engine.inspect(container)
    assert running.status == "running"
    assert running.started_at is not None
    assert running.started_at >= created.created_at
    memory = await engine.memory_bytes(container)
    assert memory is not None
    assert 1 << 20 < memory < 1 << 30

    await engine.signal(container, "SIGTERM")
    assert await asyncio.wait_for(ended(engine, container), 10) == 128 + 15
    assert await engine.memory_bytes(container) is None

    await engine.remove(container)
    with pytest.raises(NoSuchContainer):
        await engine.inspect(container)


async def test_doing_it_again_changes_nothing(engine: DockerEngine, docker: str, installation: str) -> None:
    wanted = config(docker, installation)
    name = f"ultra-{installation}"
    container = await engine.create(name, wanted)
    assert await engine.create(name, wanted) == container
    await engine.start(container)
    await engine.start(container)
    await engine.signal(container, "SIGKILL")
    await asyncio.wait_for(ended(engine, container), 10)
    await engine.signal(container, "SIGKILL")
    await engine.remove(container)
    await engine.remove(container)
    await engine.signal(container, "SIGTERM")


async def test_a_name_that_a_foreign_container_has_is_not_taken_over(
    engine: DockerEngine, docker: str, installation: str
) -> None:
    name = f"ultra-{installation}"
    await engine.create(name, config(docker, installation, **{"ultra.generation": "1"}))
    with pytest.raises(NameTaken, match=name):
        await engine.create(name, config(docker, installation, **{"ultra.generation": "2"}))


async def test_a_running_container_is_not_removed(engine: DockerEngine, docker: str, installation: str) -> None:
    container = await engine.create(f"ultra-{installation}", config(docker, installation))
    await engine.start(container)
    with pytest.raises(EngineRefused, match="running"):
        await engine.remove(container)


async def test_a_container_that_cannot_be_started_has_ended_and_says_why(
    engine: DockerEngine, docker: str, installation: str
) -> None:
    wanted = config(docker, installation)
    wanted["HostConfig"]["DeviceRequests"] = [{"Driver": "no-such", "Count": 1, "Capabilities": [["gpu"]]}]
    container = await engine.create(f"ultra-{installation}", wanted)
    with pytest.raises(EngineRefused, match="no-such"):
        await engine.start(container)
    ended = await engine.inspect(container)
    assert (ended.status, ended.started_at) == ("exited", None)
    assert "no-such" in ended.error
    await engine.remove(container)


async def test_only_containers_of_this_installation_are_ours(
    engine: DockerEngine, docker: str, installation: str
) -> None:
    mine = await engine.create(f"ultra-{installation}", config(docker, installation))
    found = await engine.ours(installation)
    assert [one.id for one in found] == [mine]
    assert await engine.ours(str(uuid4())) == []


async def test_an_image_that_is_nowhere_is_named(engine: DockerEngine, installation: str) -> None:
    image = "ultra-no-such-image:ever"
    assert not await engine.has_image(image)
    with pytest.raises(NoSuchImage, match=image):
        await engine.create(f"ultra-{installation}", config(image, installation))
    with pytest.raises(NoSuchImage, match=image):
        async for _ in engine.pull(image):
            pass


async def test_logs_come_in_lines_each_with_its_stream_and_time(
    engine: DockerEngine, docker: str, installation: str
) -> None:
    script = "import sys; print('first'); print('wörld'); print('x' * 40000); print('bad', file=sys.stderr)"
    container = await engine.create(f"ultra-{installation}", config(docker, installation, script))
    await engine.start(container)
    lines = [line async for line in engine.logs(container, tail=100, follow=True)]
    assert [line.text for line in lines if line.stream == "stdout"][:2] == ["first", "wörld"]
    assert [line.text for line in lines if line.stream == "stderr"] == ["bad"]
    assert [len(line.text) for line in lines if line.text.startswith("x")] == [16384, 16384, 40000 - 2 * 16384]
    assert all(line.at.startswith("20") for line in lines)
    assert [line async for line in engine.logs(container, tail=1)] == lines[-1:]


async def test_changes_of_ours_are_told_and_end_when_they_were_asked_to(
    engine: DockerEngine, docker: str, installation: str
) -> None:
    began = time.time()
    container = await engine.create(f"ultra-{installation}", config(docker, installation))
    await engine.start(container)
    seen = [action async for action in engine.changes(installation, began - 1, time.time() + 1)]
    assert seen == ["create", "start"]


async def test_workers_that_begin_at_once_agree_on_a_network(
    engine: DockerEngine, docker: str, installation: str
) -> None:
    name = f"ultra-{installation[:8]}"
    internal: Mapping[str, Any] = {"Internal": True, "Labels": {LABEL_INSTALLATION: installation}}
    await asyncio.gather(*(engine.ensure_network(name, internal) for _ in range(3)))
    agreed = {await engine.ensure_network(name, internal) for _ in range(3)}
    assert len(agreed) == 1


async def test_an_engine_that_is_not_there_is_away_and_says_where_it_was_looked_for() -> None:
    engine = DockerEngine("unix:///nowhere/docker.sock")
    with pytest.raises(EngineAway, match="unix:///nowhere"):
        await engine.ours("any")
    await engine.close()
