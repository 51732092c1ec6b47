"""What this process knows of the model servers: which had better not be asked now, and what to learn from answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.circuits import Circuits, circuit_key
from common.connectivity import Connectivity
from common.contracts.calls import Attempt, Call
from common.errors import AppError, BadUpstream, InstanceGone, NotStarted, Timeout, Unavailable, Unsupported
from common.providers.http import Proxies
from common.providers.registry import Providers
from common.routing import CIRCUIT_OPEN, NOT_SERVED, offline, passed_over, stand_ins
from common.settings import Settings
from common.stalls import Stalls

# These speak against the server; every other error is an answer of a server that works, unless nobody asked it.
AGAINST_THE_SERVER = (Unavailable, BadUpstream, Timeout)
UNASKED = (Unsupported, NotStarted, InstanceGone)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a model had better not be asked now, and after how long it may be."""

    attempt: Attempt
    seconds: float | None = None


class Upstreams:
    """Circuits, connectivity and availability in one place. Belongs to one event loop."""

    def __init__(
        self, settings: Settings, catalog: Callable[[], Catalog], providers: Providers, circuits: Circuits
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._providers = providers
        self._proxies = Proxies.of(settings)
        self._stalls = Stalls()
        self.circuits = circuits
        self.connectivity = Connectivity(self.clouds, circuits)

    def stand_ins(self) -> Sequence[ModelEntry]:
        """The local models for cloud models that cannot be reached; none if that is switched off."""
        settings = self._settings
        if not settings.use_local_models_when_offline and settings.ultra_prefer != "local":
            return ()
        names = [name.strip() for name in settings.available_local_models.split(",")]
        found = stand_ins(self._catalog(), settings.default_local_model, names)
        return [entry for entry in found if self._providers.availability(entry)[0]]

    async def refusal(self, entry: ModelEntry, *, has_local_alternative: bool) -> Refusal | None:
        """Why this model had better not be asked now, or None: ask it, and tell how it went."""
        self._stalls.watch()
        is_available, reason = self._providers.availability(entry)
        if not is_available:
            return Refusal(passed_over(entry, NOT_SERVED, reason or "It is not served here."))
        if has_local_alternative and self.is_offline_for(entry):
            return Refusal(offline(entry))
        if (seconds := await self.circuits.blocked_seconds(_key(entry))) > 0:
            said = f"Its server failed again and again; it is left alone for {seconds:.1f} s."
            return Refusal(passed_over(entry, CIRCUIT_OPEN, said), seconds)
        return None

    def is_offline_for(self, entry: ModelEntry) -> bool:
        """Whether local models answer in this one's place at the moment."""
        is_cloud = not entry.local and entry.provider != "mock"
        return is_cloud and self._settings.use_local_models_when_offline and self.connectivity.is_offline

    def answered(self, entry: ModelEntry) -> None:
        """It answered, or refused like a server that works."""
        self.circuits.succeeded(_key(entry))
        if not entry.local:
            self.connectivity.heard_from(entry.provider)

    def unheard(self, entry: ModelEntry) -> None:
        """It was not asked after all, or not waited for: nothing was learned of its server."""
        self.circuits.unheard(_key(entry))

    async def failed(self, entry: ModelEntry, call: Call, error: AppError) -> None:
        """It failed; where that speaks against its server, its circuit and our connectivity hear of it."""
        if isinstance(error, UNASKED):
            self.unheard(entry)
            return
        if not isinstance(error, AGAINST_THE_SERVER):
            self.answered(entry)
            return
        if self._stalls.is_recent:  # what ran out while we slept says nothing about the server either
            self.unheard(entry)
            return
        # A deadline of the caller's own says nothing about the server: nobody opens a circuit for others.
        if isinstance(error, Timeout) and call.parameters.timeout_seconds is not None:
            self.unheard(entry)
        else:
            await self.circuits.failed(_key(entry))
        if not entry.local and entry.provider != "mock" and self._settings.use_local_models_when_offline:
            await self.connectivity.suspect()

    def clouds(self) -> Mapping[str, str]:
        """By provider, where to knock: every cloud provider whose models these settings can serve."""
        if self._settings.use_mock:
            return {}
        urls = {
            entry.provider: self._providers.base_url(entry.provider)
            for entry in self._catalog().entries.values()
            if not entry.local and entry.provider != "mock" and self._providers.availability(entry)[0]
        }
        return {provider: self._proxies.before(url) or url for provider, url in urls.items() if url}


def _key(entry: ModelEntry) -> str:
    # mocks share no server: each entry's orders are its own
    return circuit_key(entry.provider, entry.id if entry.provider == "mock" else entry.name)
