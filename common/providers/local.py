"""Models in containers: their servers speak OpenAI's interface, and say so when they leave."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import httpx2
import openai

from common.catalog.local import LocalModel
from common.errors import InstanceGone, ProviderError, Unavailable
from common.fleet.contracts import Endpoint
from common.fleet.refusals import REFUSALS
from common.providers.http import http_client
from common.providers.openai_compatible import OpenAICompatible
from common.providers.protocol import Delta, EmbeddingRequest, Embeddings, ModelRequest

NAME = "local"

Lost = Callable[[str, Endpoint], None]


class Instances:
    """The adapters of this process's models in containers, over one pool of connections. `lost` hears of the dead."""

    def __init__(self, lost: Lost) -> None:
        self._lost = lost
        # A proxy never stands before a container.
        self._http = http_client("http://127.0.0.1")
        self._made: dict[str, tuple[Endpoint, Instance]] = {}

    def at(self, entry: LocalModel, endpoint: Endpoint) -> "Instance":
        """The adapter of this model where it is now; one of an earlier instance goes on with what it has begun."""
        made = self._made.get(entry.id)
        if made is None or made[0] != endpoint:
            instance = Instance(endpoint.base_url, self._http, lambda: self._lost(entry.id, endpoint))
            made = self._made[entry.id] = endpoint, instance
        return made[1]

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()


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

    async def close(self) -> None:
        """The connections are everybody's."""

    def _judged(self, error: ProviderError, *, has_begun: bool) -> ProviderError:
        """What became of the request.

        A connection that breaks may have broken over this very request: that is no refusal, but nothing to be asked
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
