"""Which way leads to which model."""

from collections.abc import Callable

from pydantic import SecretStr

from api.gateway.answers import Way
from api.gateway.contained import Contained
from api.gateway.passing import Passing
from api.gateway.slotted import Slotted
from api.gateway.translating import Translating
from api.gateway.upstream import Upstream
from common.admission.slots import Slots
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry, ModelServer
from common.catalog.local import LocalModel
from common.fleet.fleet import Fleet
from common.providers import making
from common.providers.http import Proxies
from common.settings import Settings


class Ways:
    """The ways of one process, each made when it is first taken. For one event loop.

    `catalog` is asked anew each time: the file may change while we run.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Callable[[], Catalog],
        translating: Translating,
        slots: Slots,
        fleet: Fleet,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._slots = slots
        self._translating = translating
        self._contained = Contained(fleet, slots, settings)
        self._passing: dict[tuple[str, ModelServer | None], Passing] = {}

    def to(self, entry: ModelEntry) -> Way:
        """Pass through where the model's server speaks our interface, else through its adapter; in line if need be."""
        if self._is_contained(entry):
            return self._contained
        way = self._straight(entry.provider)
        return way if entry.slots is None else Slotted(way, self._slots)

    def counting(self, entry: ModelEntry) -> Translating | None:
        """The way to what counts a prompt's tokens, which takes no slot; None if no server of this model's does."""
        if self._is_contained(entry) or self._straight(entry.provider) is not self._translating:
            return None
        return self._translating

    def _is_contained(self, entry: ModelEntry) -> bool:
        return isinstance(entry, LocalModel) and not self._settings.use_mock

    def _straight(self, provider: str) -> Way:
        server = self._catalog().servers.get(provider)
        passing = self._passing.get((provider, server))
        if passing is not None:
            return passing
        upstream = self._upstream(provider, server)
        if upstream is None:
            return self._translating
        passing = self._passing[provider, server] = Passing(upstream, self._settings)
        return passing

    async def close(self) -> None:
        """Close every connection."""
        await self._contained.close()
        made, self._passing = self._passing, {}
        for passing in made.values():
            await passing.close()

    def _upstream(self, provider: str, server: ModelServer | None) -> Upstream | None:
        settings, proxies = self._settings, Proxies.of(self._settings)
        if settings.use_mock:
            return None
        key: SecretStr | None
        if server is not None:
            key = making.variable(server.api_key_env) if server.api_key_env else None
            return Upstream(provider, server.base_url, key, proxies)
        if provider == "openai":
            return Upstream(provider, settings.openai_base_url, settings.openai_api_key, proxies)
        if provider == "docker_modelrunner" and settings.model_runner_type == "api":
            return Upstream(provider, settings.model_runner_url, None, proxies)
        return None
