"""What the gateway is made of, put together in one place."""

import asyncio
from collections.abc import Callable

from api.auth import Auth
from api.gateway.app import Gateway
from api.gateway.client import Patience
from api.gateway.council import Council
from api.gateway.exchange import Accounts
from api.gateway.generating import Generating
from api.gateway.ivy import Ivy
from api.gateway.knowledge import KnowledgeAgent
from api.gateway.token_counting import TokenCounting
from api.gateway.translating import Translating
from api.gateway.travel import Travel
from api.gateway.virtual import Virtual
from api.gateway.ways import Ways
from api.metering import Metering
from api.metrics import Metrics
from common import pricing
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.circuits import Circuits
from common.contracts.calls import Usage
from common.fleet.fleet import Fleet
from common.providers.registry import Providers
from common.settings import Settings
from common.telemetry.port import Telemetry
from common.upstreams import Upstreams

MIB = 1024 * 1024


class GatewayParts:
    """The parts that the gateway's requests share. Belongs to one event loop; connects to nothing until asked to."""

    def __init__(
        self,
        settings: Settings,
        catalog: Callable[[], Catalog],
        providers: Providers,
        circuits: Circuits,
        metering: Metering,
        telemetry: Telemetry,
        fleet: Fleet,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._providers = providers
        self._circuits = circuits
        self._metering = metering
        self._telemetry = telemetry
        self._upstreams = Upstreams(settings, catalog, providers, circuits)
        self._knowledge = KnowledgeAgent(settings.knowledge_agent_url) if settings.knowledge_agent_url else None
        self._ways = Ways(settings, catalog, Translating(providers), metering.slots, fleet)

    def app(self, auth: Auth, metrics: Metrics, host_names: frozenset[str] | None) -> Gateway:
        """The app that serves `/v1`."""
        settings = self._settings
        travel = Travel(self._catalog, self._ways, self._upstreams, self._telemetry, settings.ultra_prefer)
        accounts = Accounts(self._metering.admission, self._metering.usage, self._price)
        ivy = Ivy(settings.llm_provider, settings.ollama_model, self._knowledge)
        virtual = Virtual(Council(travel, accounts, self._catalog), ivy, self._catalog)
        generating = Generating(travel, accounts, virtual, max_body_bytes=settings.ultra_chat_body_mib * MIB)
        token_counting = TokenCounting(
            self._catalog, self._ways, self._metering.admission, max_body_bytes=settings.ultra_chat_body_mib * MIB
        )
        patience = Patience(settings.ultra_heartbeat_seconds, settings.ultra_stuck_client_seconds)
        return Gateway(
            auth,
            self._catalog,
            generating,
            token_counting,
            virtual,
            metrics,
            self._telemetry,
            host_names=host_names,
            patience=patience,
        )

    async def keep(self) -> None:
        """Keep what we know of failing models fresh, for ever."""
        await asyncio.to_thread(pricing.load)
        await self._circuits.keep()

    async def close(self) -> None:
        """Close every connection to a model's server, and tell what was learned."""
        await self._upstreams.connectivity.close()
        await self._circuits.drain()
        await self._ways.close()
        await self._providers.close()
        if self._knowledge is not None:
            await self._knowledge.close()

    def _price(self, entry: ModelEntry, usage: Usage | None) -> float | None:
        return 0.0 if self._settings.use_mock else pricing.cost_usd(entry, usage)
