"""The Docker Engine's HTTP API, as much of it as a fleet of models needs, and no more.

Requests are typed intents: what a caller of ours says reaches the engine through `template.py` alone. Every request
has an end: most in seconds, a pull when it falls silent, and events, which never time out, by being asked for a
stretch of time at a time. There are a dozen of them, so there is no SDK between: aiodocker hands events on through
a queue without a bound, and tells nobody when their connection broke.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from common.fleet.contracts import LABEL_INSTALLATION
from common.providers.ndjson import LineBuffer
from worker.lifecycle.container import Container, container_of, memory_of
from worker.lifecycle.docker_connection import DockerConnection
from worker.lifecycle.docker_streams import MAX_JSON_LINE_BYTES, LogFrames, LogLine, PullTally
from worker.lifecycle.engine_errors import EngineRefused, NameTaken, NoSuchContainer, NoSuchImage

# A registry or a disk may take its time over a layer; what pulls weights says something every second.
PULL_SILENCE_SECONDS = 300.0
# An engine may be slow under load. Past this it is taken for dead, and asked again later.
ANSWER_SECONDS = 15.0

NOT_THERE, CONFLICT = 404, 409


class DockerEngine:
    """One engine. Belongs to an event loop, and lets go of its connections with `close`.

    Every method may raise `EngineAway`, where nobody answers in time, and `EngineRefused`, in the engine's words.
    Those that change something may be asked twice: what is so already stays so.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        patience_seconds: float = ANSWER_SECONDS,
        silence_seconds: float = PULL_SILENCE_SECONDS,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._silence_seconds = silence_seconds
        self._connection = DockerConnection(host, patience_seconds)

    async def close(self) -> None:
        await self._connection.close()

    async def ours(self, installation: str) -> list[Container]:
        """Every container that carries this installation's label, running or not: all of them, or an error."""
        listed = await self._connection.json(
            "GET", "containers/json", {"all": "true", "filters": _filters(label=f"{LABEL_INSTALLATION}={installation}")}
        )
        found = await asyncio.gather(*(self._if_there(one["Id"]) for one in listed))
        return [one for one in found if one is not None]

    async def inspect(self, container: str) -> Container:
        """A container, by its id or its name.

        Raises:
            NoSuchContainer: there is none.
        """
        try:
            return container_of(await self._connection.json("GET", f"containers/{quote(container, safe='')}/json"))
        except EngineRefused as error:
            raise _missing(error) from error

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container and return its id; if one of the same name and labels exists, its id.

        Raises:
            NoSuchImage: it has to be pulled before.
            NameTaken: by a container with other labels.
        """
        try:
            made = await self._connection.json("POST", "containers/create", {"name": name}, config)
        except EngineRefused as error:
            if error.status == NOT_THERE:
                raise NoSuchImage(config["Image"], error.message) from error
            if error.status != CONFLICT:
                raise
            there = await self.inspect(name)
            if any(there.labels.get(label) != value for label, value in config["Labels"].items()):
                raise NameTaken(name) from error
            return there.id
        return str(made["Id"])

    async def start(self, container: str) -> None:
        """Start a container.

        Raises:
            NoSuchContainer: there is none.
            EngineRefused: it cannot be started: a port, a device, a mount.
        """
        try:
            await self._connection.json("POST", f"containers/{container}/start")
        except EngineRefused as error:
            raise _missing(error) from error

    async def signal(self, container: str, signal: str) -> None:
        """Send a signal to a container's first process, if it runs."""
        try:
            await self._connection.json("POST", f"containers/{container}/kill", {"signal": signal})
        except EngineRefused as error:
            if error.status not in {NOT_THERE, CONFLICT}:  # gone, or ended
                raise

    async def remove(self, container: str, *, force: bool = False) -> None:
        """Remove a container that does not run, or with `force` any, with the volumes that have no name.

        Raises:
            EngineRefused: it runs.
        """
        try:
            await self._connection.json("DELETE", f"containers/{container}", {"v": "true", "force": str(force).lower()})
        except EngineRefused as error:
            is_going = error.status == CONFLICT and "already in progress" in error.message
            if error.status != NOT_THERE and not is_going:
                raise

    async def memory_bytes(self, container: str) -> int | None:
        """What a container takes of the host's memory, less the files it read; None if the engine cannot tell."""
        try:
            said = await self._connection.json(
                "GET", f"containers/{container}/stats", {"stream": "false", "one-shot": "true"}
            )
        except EngineRefused:
            return None
        return memory_of(said)

    async def logs(self, container: str, *, tail: int, follow: bool = False) -> AsyncIterator[LogLine]:
        """The last lines that a container wrote; with `follow` also those to come, until it ends or falls silent.

        Raises:
            NoSuchContainer: there is none.
        """
        parameters = {"stdout": "true", "stderr": "true", "timestamps": "true", "tail": str(tail)}
        parameters["follow"] = str(follow).lower()
        within, silence = (None, self._silence_seconds) if follow else (self._patience_seconds, None)
        frames = LogFrames()
        try:
            async with self._connection.asked(
                "GET", f"containers/{container}/logs", parameters, within=within, silence=silence
            ) as answer:
                async for piece in answer.content.iter_any():
                    for line in frames.feed(piece):
                        yield line
        except EngineRefused as error:
            raise _missing(error) from error

    async def total_memory_bytes(self) -> int:
        """The memory of the engine's machine."""
        return int((await self._connection.json("GET", "info"))["MemTotal"])

    async def has_image(self, image: str) -> bool:
        """Whether a container could be made from it now."""
        try:
            await self._connection.json("GET", f"images/{quote(image, safe='/:@')}/json")
        except EngineRefused as error:
            if error.status == NOT_THERE:
                return False
            raise
        return True

    async def pull(self, image: str) -> AsyncIterator[PullTally]:
        """Fetch an image from its registry: yields how far that is, and ends when the image is there.

        Raises:
            NoSuchImage: no registry gives it out.
        """
        repository, reference = split_image(image)
        tally, lines = PullTally(), LineBuffer(MAX_JSON_LINE_BYTES)
        parameters = {"fromImage": repository, "tag": reference}
        try:
            async with self._connection.asked(
                "POST", "images/create", parameters, silence=self._silence_seconds
            ) as answer:
                async for piece in answer.content.iter_any():
                    for line in lines.feed(piece):
                        tally.read(line)
                    if tally.fault is not None:
                        raise NoSuchImage(image, tally.fault)
                    yield tally
        except EngineRefused as error:
            raise NoSuchImage(image, error.message) from error

    async def ensure_network(self, name: str, config: Mapping[str, Any]) -> str:
        """The id of the network of this name, which is made if there is none. One that exists is taken as it is.

        To the engine a name is no key: two workers that begin at once may make two. Both take the older one.
        """
        there = await self._networks(name)
        if not there:
            await self._connection.json("POST", "networks/create", body={**config, "Name": name})
            there = await self._networks(name)
        return str(min(there, key=lambda network: (network["Created"], network["Id"]))["Id"])

    async def changes(self, installation: str, since: float, until: float) -> AsyncIterator[str]:
        """What happens to containers of ours between two times, in seconds since the epoch by the engine's clock.

        Ends at `until`, which may lie ahead: an engine that does not end it then is away.
        """
        filters = _filters(type="container", label=f"{LABEL_INSTALLATION}={installation}")
        parameters = {"since": f"{since:.6f}", "until": f"{until:.6f}", "filters": filters}
        lines = LineBuffer(MAX_JSON_LINE_BYTES)
        within = max(until - time.time(), 0) + self._patience_seconds
        async with self._connection.asked("GET", "events", parameters, within=within) as answer:
            async for piece in answer.content.iter_any():
                for line in lines.feed(piece):
                    yield str(self._connection.document(line)["Action"])

    async def _if_there(self, container: str) -> Container | None:
        try:
            return await self.inspect(container)
        except NoSuchContainer:  # removed since it was listed
            return None

    async def _networks(self, name: str) -> list[dict[str, Any]]:
        listed = await self._connection.json("GET", "networks", {"filters": _filters(name=name)})
        return [network for network in listed if network["Name"] == name]  # the filter also finds parts of names


def split_image(image: str) -> tuple[str, str]:
    """An image's repository and its tag or digest: without one, every tag would be fetched."""
    name, at, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", digest if at else tag or "latest"


def _missing(error: EngineRefused) -> EngineRefused | NoSuchContainer:
    return NoSuchContainer() if error.status == NOT_THERE else error


def _filters(**wanted: str) -> str:
    return orjson.dumps({key: [value] for key, value in wanted.items()}).decode()
