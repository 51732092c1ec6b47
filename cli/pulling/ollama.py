"""Ollama fetches models by `POST /api/pull`, which tells its progress in JSON a line; `GET /api/tags` lists."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import BaseModel, ValidationError

from cli.pulling.names import is_same
from cli.pulling.ndjson_api import NdjsonApi, presentable
from cli.pulling.puller import Layers, Progress
from common.errors import BadUpstream, Unsupported, UpstreamRejected
from common.providers.http import Proxies

LIBRARY = "library/"


class _Model(BaseModel):
    name: str


class _Tags(BaseModel):
    models: list[_Model]


class _Line(BaseModel):
    status: str = ""
    digest: str | None = None
    total: int = 0
    completed: int = 0
    error: str | None = None


class OllamaPuller:
    """See `Puller`."""

    def __init__(self, base_url: str, proxies: Proxies = Proxies()) -> None:  # immutable
        self._api = NdjsonApi("Ollama", base_url, proxies)

    async def has(self, name: str) -> bool:
        """See `Puller.has`."""
        try:
            tags = _Tags.model_validate(await self._api.get("/api/tags"))
        except ValidationError as error:
            raise Unsupported(f"The server at {self._api.base_url} is not Ollama: correct OLLAMA_BASE_URL.") from error
        return any(is_same(name, model.name, LIBRARY) for model in tags.models)

    async def pull(self, name: str) -> AsyncGenerator[Progress]:
        """See `Puller.pull`."""
        layers = Layers()
        last = Progress()
        async with aclosing(self._api.post("/api/pull", {"model": name, "stream": True})) as lines:
            async for document in lines:
                line = self._read(document)
                if line.error is not None:
                    raise UpstreamRejected(f"Ollama: {presentable(line.error)}")
                if line.status == "success":
                    return
                if line.digest and line.total:
                    last = layers.report(line.digest, line.completed, line.total)
                    yield last
                else:
                    yield Progress(last.done_bytes, last.total_bytes, presentable(line.status))
        raise BadUpstream("Ollama broke off: pull again, and it goes on where it stopped.")

    async def close(self) -> None:
        """See `Puller.close`."""
        await self._api.close()

    def _read(self, document: dict[str, object]) -> _Line:
        try:
            return _Line.model_validate(document)
        except ValidationError as error:
            raise BadUpstream("Ollama told its progress in no form that we know.") from error
