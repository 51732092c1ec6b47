"""Which adapter serves which model, and what it is asked."""

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Call, Message
from common.errors import Unavailable
from common.providers.mock import MockProvider
from common.providers.protocol import ModelRequest, Provider
from common.settings import Settings


class Providers:
    """The adapters of a process, each made when it is first needed. Belongs to one event loop."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._made: dict[str, Provider] = {}

    def availability(self, entry: ModelEntry) -> tuple[bool, str | None]:
        """Whether calls to this model can be made at all, and if not why; asks no network."""
        if self._settings.use_mock or entry.provider == "mock":
            return True, None
        if entry.provider == "docker_modelrunner":
            if self._settings.enable_model_runner:
                return True, None
            return False, "ENABLE_MODEL_RUNNER is false."
        return False, f"This release has no adapter for {entry.provider}; USE_MOCK=true answers in its place."

    async def get(self, entry: ModelEntry) -> Provider:
        """The adapter that serves this model.

        Raises:
            Unavailable: there is none, for the reason that `availability` gives.
        """
        is_available, reason = self.availability(entry)
        if not is_available:
            raise NotServed(reason)
        name = "mock" if self._settings.use_mock else entry.provider
        if name not in self._made:
            self._made[name] = MockProvider() if name == "mock" else await self._model_runner()
        return self._made[name]

    def request_for(self, entry: ModelEntry, call: Call) -> ModelRequest:
        """The call in the terms of the model's server: the entry's parameters under the call's own."""
        is_mock_entry = entry.provider == "mock"
        wanted, usual = call.parameters, entry.parameters
        return ModelRequest(
            model=entry.name if is_mock_entry or not self._settings.use_mock else entry.id,
            messages=_with_system(entry, call.messages),
            temperature=usual.temperature if wanted.temperature is None else wanted.temperature,
            max_tokens=wanted.max_tokens or usual.max_tokens,
            timeout_seconds=wanted.timeout_seconds or self._usual_timeout_seconds(entry),
            schema=call.schema_ if entry.can("json_schema") or self._settings.use_mock else None,
            # What another server understands would be nonsense to the mock.
            extra=usual.extra if is_mock_entry or not self._settings.use_mock else {},
        )

    async def close(self) -> None:
        """Release every adapter's connections."""
        for provider in self._made.values():
            await provider.close()

    def _usual_timeout_seconds(self, entry: ModelEntry) -> float:
        if entry.local:
            return self._settings.local_model_timeout / 1000
        return self._settings.ultra_call_timeout_seconds

    async def _model_runner(self) -> Provider:
        from common.providers.openai_compatible import OpenAICompatible

        return OpenAICompatible("docker_modelrunner", self._settings.model_runner_url, api_key=None)


class NotServed(Unavailable):
    """Nothing here serves this model."""

    is_retryable = False


def _with_system(entry: ModelEntry, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if entry.system is None:
        return messages
    first, *rest = messages
    if first.role == "system":  # two system messages confuse small models: the entry's comes first, in one
        return (Message(role="system", content=f"{entry.system}\n\n{first.content}"), *rest)
    return (Message(role="system", content=entry.system), *messages)
