"""Translating: a request to a model whose server speaks otherwise, through its adapter of common/providers."""

from api.gateway.answers import Stream, Whole
from api.gateway.asked import Asked
from api.gateway.faults import Fault
from common.catalog.entry import ModelEntry
from common.errors import Unsupported
from common.providers.registry import Providers


class Translating:
    """The way to every model that has an adapter."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    async def whole(self, asked: Asked, entry: ModelEntry) -> Whole:
        """See `Way.whole`."""
        raise Fault(Unsupported("not yet"))

    async def stream(self, asked: Asked, entry: ModelEntry) -> Stream:
        """See `Way.stream`."""
        raise Fault(Unsupported("not yet"))
