"""Reading containers' logs for the API, which has no way to them: of this installation's containers, and no other."""

from collections.abc import Sequence

from common.contracts.fleet import LogLineDocument
from common.fleet.contracts import LABEL_INSTALLATION
from common.fleet.logs import NoLogs, Read
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import NoSuchContainer


def reader(engine: DockerEngine, installation: str) -> Read:
    """Reads the last lines of a container of this installation, for `common.fleet.logs.serve`."""

    async def read(container: str, tail: int) -> Sequence[LogLineDocument]:
        try:
            there = await engine.inspect(container)
            if there.labels.get(LABEL_INSTALLATION) != installation:
                raise NoLogs
            lines = [line async for line in engine.logs(container, tail=tail)]
        except NoSuchContainer:
            raise NoLogs from None
        return [LogLineDocument(at=line.at or None, stream=line.stream, text=line.text) for line in lines]

    return read
