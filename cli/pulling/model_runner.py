"""Docker Model Runner fetches models by its own API, beside the OpenAI-compatible one.

`GET /models` lists, `POST /models/create` pulls and tells its progress in JSON a line: docker/model-runner,
`pkg/inference/models` and `pkg/distribution/oci/progress.go` (v1.2).
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import BaseModel, TypeAdapter, ValidationError

from cli.pulling.names import is_same
from cli.pulling.ndjson_api import NdjsonApi, presentable
from cli.pulling.puller import Layers, Progress
from common.errors import BadUpstream, Unsupported, UpstreamRejected
from common.providers.http import Proxies

LIBRARY = "ai/"
# What stands after the server's root in the URL of its OpenAI-compatible API.
OPENAI_PATH = re.compile(r"(/engines(/[^/]+)?)?/v1/?$")


class _Model(BaseModel):
    tags: list[str] | None = None


class _Layer(BaseModel):
    id: str = ""
    size: int = 0
    current: int = 0


class _Line(BaseModel):
    type: str
    message: str = ""
    total: int = 0
    layer: _Layer = _Layer()


_Models = TypeAdapter(list[_Model])


def management_root(model_runner_url: str) -> str:
    """Where the management API is, by the URL of the OpenAI-compatible one."""
    return OPENAI_PATH.sub("", model_runner_url)


class ModelRunnerPuller:
    """See `Puller`."""

    def __init__(self, model_runner_url: str, proxies: Proxies = Proxies()) -> None:  # immutable
        self._api = NdjsonApi("The Model Runner", management_root(model_runner_url), proxies)

    async def has(self, name: str) -> bool:
        """See `Puller.has`."""
        try:
            models = _Models.validate_python(await self._api.get("/models"))
        except ValidationError as error:
            # llama.cpp and other servers have no such path, or list their models there in OpenAI's form.
            raise Unsupported(
                f"The server at {self._api.base_url} fetches no models: it is not Docker's Model Runner, and serves"
                " those that it was started with. Set MODEL_RUNNER_URL to a Model Runner"
                " (http://127.0.0.1:12434/engines/llama.cpp/v1), or MODEL_RUNNER_TYPE=cli to use `docker model`."
            ) from error
        return any(is_same(name, tag, LIBRARY) for model in models for tag in model.tags or ())

    async def pull(self, name: str) -> AsyncGenerator[Progress]:
        """See `Puller.pull`."""
        layers = Layers()
        async with aclosing(self._api.post("/models/create", {"from": name})) as lines:
            async for document in lines:
                line = self._read(document)
                if line.type == "success":
                    return
                if line.type == "error":
                    raise UpstreamRejected(f"The Model Runner: {presentable(line.message)}")
                if line.type == "progress":
                    layer = line.layer
                    yield layers.report(layer.id, layer.current, layer.size, line.total or None)
        raise BadUpstream("The Model Runner broke off: pull again, and it goes on where it stopped.")

    async def close(self) -> None:
        """See `Puller.close`."""
        await self._api.close()

    def _read(self, document: dict[str, object]) -> _Line:
        try:
            return _Line.model_validate(document)
        except ValidationError as error:
            raise BadUpstream("The Model Runner told its progress in no form that we know.") from error
