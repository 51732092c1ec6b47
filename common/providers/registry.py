"""Which adapter serves which model, and how a call becomes that adapter's request."""

import asyncio
import importlib

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Call, Message
from common.errors import Unavailable
from common.providers.mock import MockProvider
from common.providers.protocol import ModelRequest, Provider
from common.settings import Settings


class Providers:
    """The adapters of one process, each made when it is first asked for. For one event loop."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._made: dict[str, Provider] = {}

    def availability(self, entry: ModelEntry) -> tuple[bool, str | None]:
        """Whether these settings can serve the model, and if not, why. Asks no server."""
        if self._settings.use_mock or entry.provider == "mock":
            return True, None
        if entry.provider != "docker_modelrunner":
            return False, f"This installation has no adapter for {entry.provider}."
        if not self._settings.enable_model_runner:
            return False, "The Model Runner is switched off (ENABLE_MODEL_RUNNER)."
        return True, None

    async def get(self, entry: ModelEntry) -> Provider:
        """The adapter that serves this model.

        Raises:
            NotServed: for the reason that `availability` gives.
        """
        is_available, reason = self.availability(entry)
        if not is_available:
            raise NotServed(reason)
        name = "mock" if self._settings.use_mock else entry.provider
        if name not in self._made:
            if name != "mock":
                # Half a second of imports, kept off the loop: heartbeats and streams go on.
                await asyncio.to_thread(importlib.import_module, "common.providers.openai_compatible")
            self._made.setdefault(name, self._make(name))
        return self._made[name]

    def request_for(self, entry: ModelEntry, call: Call) -> ModelRequest:
        """The call in the provider's terms: what it leaves open is filled in from the entry, then the settings.

        A schema goes to servers that can be held to it, and to no other.
        """
        asked, preset = call.parameters, entry.parameters
        # Under USE_MOCK a real model's entry is a mock that can do everything, and its server's own
        # parameters mean nothing. A mock goes by its id, as entries may share a name.
        is_stood_in_for = self._settings.use_mock and entry.provider != "mock"
        is_mock = is_stood_in_for or entry.provider == "mock"
        return ModelRequest(
            model=entry.id if is_mock else entry.name,
            messages=_with_system(entry.system, call.messages),
            temperature=preset.temperature if asked.temperature is None else asked.temperature,
            max_tokens=asked.max_tokens or preset.max_tokens,
            timeout_seconds=asked.timeout_seconds or self._default_timeout_seconds(entry),
            schema=call.schema_ if is_stood_in_for or entry.can("json_schema") else None,
            extra={} if is_stood_in_for else preset.extra,
        )

    async def close(self) -> None:
        """Release every adapter's connections."""
        made, self._made = self._made, {}
        for provider in made.values():
            await provider.close()

    def _default_timeout_seconds(self, entry: ModelEntry) -> float:
        if entry.local:
            return self._settings.local_model_timeout / 1000
        return self._settings.ultra_call_timeout_seconds

    def _make(self, name: str) -> Provider:
        if name == "mock":
            return MockProvider()
        from common.providers.openai_compatible import OpenAICompatible

        return OpenAICompatible(name, self._settings.model_runner_url)


class NotServed(Unavailable):
    """Nothing here serves this model."""

    is_retryable = False


def _with_system(system: str | None, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The entry's system prompt first; in one message with the call's own, as templates take only one."""
    if system is None:
        return messages
    if messages and messages[0].role == "system":
        system, messages = f"{system}\n\n{messages[0].content}", messages[1:]
    return (Message(role="system", content=system), *messages)
