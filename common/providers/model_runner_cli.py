"""Docker Model Runner by its command: `docker model run`, for machines where its API has no port."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from common.errors import BadUpstream, Timeout, Unsupported
from common.providers.docker_model import NAME, DockerModel, complaint
from common.providers.model_runner_prompt import prompt_of
from common.providers.model_runner_transcript import Transcript
from common.providers.protocol import (
    Delta,
    EmbeddingRequest,
    Embeddings,
    Feature,
    ModelRequest,
    refuse_unsupported,
)
from common.storable import storable

# As long as `docker` takes to find its plugin and the plugin its runner, on a machine that sleeps.
LIST_TIMEOUT_SECONDS = 10.0


class _Model(BaseModel):
    id: str
    tags: list[str] | None = None


_Models = TypeAdapter(list[_Model] | None)


class ModelRunnerCli:
    """One process an answer, with the prompt on its standard input: it is in no list of processes, can be of
    any length, and is no option.

    The command takes a model and one text, and nothing about sampling: `temperature`, `top_p`, `max_tokens`
    and the catalog's `extra` do not reach the model, which samples as the Model Runner is configured
    (`docker model configure`). An answer has the length that the model gives it, within the deadline. Where
    that matters, MODEL_RUNNER_TYPE=api is the way. Usage is known where the command tells it (since
    September 2025). A `docker model` from before August 2025 reads no standard input and cannot be used.
    """

    name = NAME
    features: frozenset[Feature] = frozenset({"list_models"})

    def __init__(self, command: Sequence[str] = ("docker",)) -> None:
        self._docker = DockerModel(command)
        self._pulled: set[str] = set()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        refuse_unsupported(self, request)
        prompt = prompt_of(request.messages)
        transcript = Transcript(request.model)
        is_silent = True
        deadline = asyncio.get_running_loop().time() + request.timeout_seconds
        try:
            # The deadline is set around each wait and never across a `yield`: there it would strike
            # whatever the consumer is doing.
            async with asyncio.timeout_at(deadline):
                await self._require(request.model)
            async with self._docker.running("run", "--", request.model, stdin=prompt) as run:
                while True:
                    async with asyncio.timeout_at(deadline):
                        piece = await run.read()
                    if not piece:
                        break
                    if text := transcript.feed(piece):
                        is_silent = False
                        yield Delta(text)
                async with asyncio.timeout_at(deadline):
                    ended = await run.ended()
        except TimeoutError:
            raise Timeout(f"{self.name} did not finish within {request.timeout_seconds:g} s.") from None
        if ended.code != 0:
            raise complaint(ended, request.model)
        text, usage = transcript.end()
        if is_silent and not text:
            # The command passes over an error in the middle of a stream without a word.
            raise BadUpstream(f"{self.name} ended without an answer: `docker model logs` may say why.")
        yield Delta(text, "stop", usage)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:  # noqa: ARG002  # the protocol's name
        """See `Provider.embed`."""
        raise Unsupported(f"{self.name} does not support embeddings: `docker model` has no command for them.")

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`. A model has all of its tags; one without any goes by its digest."""
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                listed = await self._docker.output("list", "--json")
            models = _Models.validate_python(orjson.loads(listed)) or []
        except TimeoutError:
            raise Timeout(f"{self.name} did not list its models in {LIST_TIMEOUT_SECONDS:g} s.") from None
        except (orjson.JSONDecodeError, ValidationError) as error:
            raise BadUpstream(f"{self.name} listed its models in no form that we know.") from error
        return [storable(name) for model in models for name in model.tags or [model.id]]

    async def close(self) -> None:
        """See `Provider.close`. Each process ends with its stream."""

    async def _require(self, model: str) -> None:
        """Make sure that the model is there: `run` would download it, or start it as a container.

        Asked once a model. One that is removed later is caught by the notice that `run` begins with.
        """
        if model not in self._pulled:
            await self._docker.output("inspect", "--", model, model=model)
            self._pulled.add(model)
