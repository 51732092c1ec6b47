"""Models in containers: started when they are asked, and their servers say so when they leave."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import httpx2
import openai

from common.catalog.local import LocalModel
from common.errors import InstanceGone, ProviderError, Unavailable
from common.fleet.contracts import Endpoint
from common.fleet.fleet import Fleet
from common.fleet.refusals import REFUSALS
from common.providers.http import http_client
from common.providers.openai_compatible import OpenAICompatible
from common.providers.protocol import EVERYTHING, Delta, EmbeddingRequest, Embeddings, ModelRequest

NAME = "local"


class Containers:
    """The adapters of this process's models in containers, over one pool of connections."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        # A proxy never stands before a container.
        self._http = http_client("http://127.0.0.1")
        self._made: dict[str, tuple[Endpoint, Instance]] = {}

    def of(self, entry: LocalModel) -> "InContainer":
        """The adapter of this model, wherever it is."""
        return InContainer(entry, self)

    async def ready(self, entry: LocalModel) -> "Instance":
        """The adapter of this model where it is now. Raises what `Fleet.ready` raises."""
        endpoint = await self._fleet.ready(entry)
        made = self._made.get(entry.id)
        if made is None or made[0] != endpoint:
            instance = Instance(endpoint.base_url, self._http, lambda: self._fleet.lost(entry.id, endpoint))
            # One of an earlier container goes on with what it has begun.
            made = self._made[entry.id] = endpoint, instance
        return made[1]

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()


class InContainer:
    """A model in a container, wherever it is just now. The wait for its start is within nobody's deadline."""

    name = NAME
    features = EVERYTHING

    def __init__(self, entry: LocalModel, containers: Containers) -> None:
        self._entry = entry
        self._containers = containers

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`; raises `NotStarted` and `InstanceGone` too."""
        instance = await self._containers.ready(self._entry)
        async with aclosing(instance.stream(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """See `Provider.embed`; raises what `stream` raises."""
        return await (await self._containers.ready(self._entry)).embed(request)

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`."""
        return [self._entry.id]

    async def close(self) -> None:
        """The connections are everybody's."""


class Instance(OpenAICompatible):
    """One container's server.

    Raises `InstanceGone` where nothing was done for a request: it can be asked again as if it had never been.
    """

    def __init__(self, base_url: str, client: httpx2.AsyncClient, lost: Callable[[], None]) -> None:
        super().__init__(NAME, f"{base_url}/v1", client=client)
        self._lost = lost

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        has_begun = False
        try:
            async with aclosing(super().stream(request)) as deltas:
                async for delta in deltas:
                    has_begun = True
                    yield delta
        except ProviderError as error:
            raise self._judged(error, has_begun=has_begun) from error

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """See `Provider.embed`."""
        try:
            return await super().embed(request)
        except ProviderError as error:
            raise self._judged(error, has_begun=False) from error

    def _judged(self, error: ProviderError, *, has_begun: bool) -> ProviderError:
        """What became of the request.

        A connection that breaks may have broken over this very request: that is no refusal, and nothing to be asked
        again as if nothing had been.
        """
        cause = error.__cause__
        if isinstance(cause, openai.APIStatusError):
            is_gone = is_refusal = cause.code in REFUSALS
        else:
            is_refusal = isinstance(error, Unavailable)
            is_gone = is_refusal or isinstance(cause, openai.APIConnectionError | httpx2.RequestError)
        if is_gone:
            self._lost()
        return InstanceGone(error.message) if is_refusal and not has_begun else error
