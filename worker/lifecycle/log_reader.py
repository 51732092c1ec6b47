"""What containers of ours wrote, for those who ask (`common/fleet/logs.py`)."""

from common.contracts.fleet import LogLineDocument
from common.fleet.contracts import LABEL_INSTALLATION
from common.fleet.logs import NoLogs
from worker.lifecycle.docker_engine import DockerEngine
from worker.lifecycle.engine_errors import NoSuchContainer


class LogReader:
    """Reads of one installation's containers alone, whatever is asked."""

    def __init__(self, engine: DockerEngine, installation: str) -> None:
        self._engine = engine
        self._installation = installation

    async def read(self, container: str, tail: int) -> list[LogLineDocument]:
        """The last so many lines.

        Raises:
            NoLogs: there is no such container of ours.
        """
        try:
            found = await self._engine.inspect(container)
            if found.labels.get(LABEL_INSTALLATION) != self._installation:
                raise NoLogs
            lines = [line async for line in self._engine.logs(found.id, tail=tail)]
        except NoSuchContainer as error:
            raise NoLogs from error
        return [LogLineDocument(at=line.at, stream=line.stream, text=line.text) for line in lines]
