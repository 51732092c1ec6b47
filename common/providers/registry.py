"""Which adapter serves which model, and how a call becomes that adapter's request."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry, ModelServer
from common.catalog.local import LocalModel
from common.contracts.calls import Call
from common.contracts.messages import Message, Part, TextPart
from common.contracts.reasoning import Reasoning
from common.errors import NotServed, Unsupported
from common.fleet.engines import name_in_container
from common.fleet.fleet import Fleet
from common.providers import making
from common.providers.protocol import ModelRequest, Provider
from common.settings import Settings

if TYPE_CHECKING:
    from common.providers.local import Containers

Key = tuple[str, ModelServer | None]


class Providers:
    """The adapters of one process, each made when it is first asked for. For one event loop.

    `catalog` is asked anew each time: the file may change while we run. Without a `fleet` no model runs in a container.
    """

    def __init__(self, settings: Settings, catalog: Callable[[], Catalog], fleet: Fleet | None = None) -> None:
        self._settings = settings
        self._catalog = catalog
        self._fleet = fleet
        self._made: dict[Key, Any] = {}
        self._under_way: dict[Key, asyncio.Task[None]] = {}

    def availability(self, entry: ModelEntry) -> tuple[bool, str | None]:
        """Whether these settings can serve the model, and if not, why. Asks no server."""
        if self._settings.use_mock or entry.provider == "mock":
            return True, None
        reason = self._why_not(entry)
        return reason is None, reason

    async def get(self, entry: ModelEntry) -> Provider:
        """The adapter that serves this model. One in a container is not waited for until it is asked.

        Raises:
            NotServed: for the reason that `availability` gives.
        """
        is_available, reason = self.availability(entry)
        if not is_available:
            raise NotServed(reason)
        if self.is_in_container(entry):
            containers: Containers = await self._once(("local", None), making.make_containers, self._fleet)
            return containers.of(entry)
        name = "mock" if self._settings.use_mock else entry.provider
        server = self._catalog().servers.get(name)  # a server that moved is another server
        provider: Provider = await self._once((name, server), making.make, name, server, self._settings)
        return provider

    def is_in_container(self, entry: ModelEntry) -> TypeGuard[LocalModel]:
        """Whether calls to this model go to a container, which may have to be started."""
        return isinstance(entry, LocalModel) and not self._settings.use_mock

    async def _once(self, key: Key, make: Callable[..., Any], *given: Any) -> Any:
        """What was made under this key, made if need be."""
        while key not in self._made:
            # Hundreds of calls may ask a fresh process at once: it is made once, and whoever began it may go.
            if key not in self._under_way:
                self._under_way[key] = asyncio.create_task(self._make(key, make, *given))
            await asyncio.shield(self._under_way[key])
        return self._made[key]

    async def _make(self, key: Key, make: Callable[..., Any], *given: Any) -> None:
        """Make an adapter, off the loop, so that heartbeats and streams go on.

        The imports of an SDK take up to seconds, and reading the system's certificates tens of milliseconds.
        """
        try:
            self._made[key] = await asyncio.to_thread(make, *given)
        finally:
            del self._under_way[key]

    async def prepare(self, entry: ModelEntry, call: Call) -> tuple[Provider, ModelRequest]:
        """The adapter that serves this model, and the call as its request.

        A schema is a wish: a server that cannot be held to it is not told it.

        Raises:
            NotServed: for the reason that `availability` gives.
            Unsupported: as `request_for`.
        """
        provider, request = await self.get(entry), self.request_for(entry, call)
        if request.schema is not None and "json_schema" not in provider.features:
            request = replace(request, schema=None)
        return provider, request

    def request_for(self, entry: ModelEntry, call: Call) -> ModelRequest:
        """The call in the provider's terms: what it leaves open is filled in from the entry, then the settings.

        A schema goes to servers that can be held to it, and to no other.

        Raises:
            Unsupported: the call needs tools, images or thoughts, and the catalog says that the model has none.
        """
        asked, preset, quirks = call.parameters, entry.parameters, entry.quirks
        # Under USE_MOCK a real model's entry is a mock that can do everything, and its server's own
        # parameters mean nothing. A mock goes by its id, as entries may share a name.
        is_stood_in_for = self._settings.use_mock and entry.provider != "mock"
        is_mock = is_stood_in_for or entry.provider == "mock"
        if not is_mock:
            _require_capabilities(entry, call)
        reasoning = None if is_mock else _reasoning(entry, call)
        sampling: dict[str, Any] = {
            "temperature": _temperature(entry, reasoning) if asked.temperature is None else asked.temperature,
            "top_p": asked.top_p,
            "max_tokens": _limit(entry, call, reasoning),
            "stop": asked.stop,
            "seed": asked.seed,
        }
        messages = _with_system(entry.system, call.messages)
        return ModelRequest(
            model=self.served_name(entry),
            messages=_without_system_role(messages) if quirks.system == "first_user" else messages,
            **{name: value for name, value in sampling.items() if name not in quirks.drop},
            tools=call.tools,
            tool_choice=call.tool_choice,
            schema=call.schema_ if is_stood_in_for or entry.can("json_schema") else None,
            reasoning=reasoning,
            timeout_seconds=asked.timeout_seconds or self._default_timeout_seconds(entry),
            extra={} if is_stood_in_for else preset.extra,
            renamed=quirks.rename,
        )

    def served_name(self, entry: ModelEntry) -> str:
        """What the server behind the adapter calls this model."""
        if self._settings.use_mock or entry.provider == "mock":
            return entry.id
        return name_in_container(entry) if isinstance(entry, LocalModel) else entry.name

    async def close(self) -> None:
        """Release every adapter's connections."""
        made, self._made = self._made, {}
        for provider in made.values():
            await provider.close()

    def base_url(self, provider: str) -> str | None:
        """Where this provider's server is; None for the mock, and for what runs as a command."""
        settings = self._settings
        if provider in (servers := self._catalog().servers):
            return servers[provider].base_url
        return {
            "openai": settings.openai_base_url,
            "anthropic": settings.anthropic_base_url,
            "google": settings.google_base_url,
            "ollama": settings.ollama_base_url,
            "docker_modelrunner": settings.model_runner_url if settings.model_runner_type == "api" else None,
        }.get(provider)

    def _why_not(self, entry: ModelEntry) -> str | None:
        provider, settings = entry.provider, self._settings
        if (server := self._catalog().servers.get(provider)) is not None:
            is_keyed = server.api_key_env is None or making.variable(server.api_key_env) is not None
            return None if is_keyed else f"{server.api_key_env} is not set, or is no key."
        match provider:
            case "docker_modelrunner":
                is_on = settings.enable_model_runner
                return None if is_on else "The Model Runner is switched off (ENABLE_MODEL_RUNNER)."
            case "openai" | "anthropic" | "google":
                is_keyed = getattr(settings, f"{provider}_api_key") is not None
                return None if is_keyed else f"{provider.upper()}_API_KEY is not set."
            case "ollama":
                return None
            case "local":
                return None if self._fleet is not None else "It runs in a container, and nothing here starts one."
        return f"This installation has no adapter for {provider}."

    def _default_timeout_seconds(self, entry: ModelEntry) -> float:
        if entry.local:
            return self._settings.local_model_timeout / 1000
        return self._settings.ultra_call_timeout_seconds


def _reasoning(entry: ModelEntry, call: Call) -> Reasoning | None:
    """What the model is told of thinking, if the call says anything of it."""
    if call.reasoning is None or entry.reasoning is None:
        return None
    return entry.reasoning.told(call.reasoning)


def _temperature(entry: ModelEntry, reasoning: Reasoning | None) -> float | None:
    """The entry's own. Claude takes none while it thinks, and nobody asked for this one."""
    is_thinking = reasoning is not None and not reasoning.is_off
    return None if is_thinking and entry.provider == "anthropic" else entry.parameters.temperature


def _limit(entry: ModelEntry, call: Call, reasoning: Reasoning | None) -> int | None:
    """The most tokens that may be made, with room for the thoughts that count against them.

    A caller that names both a limit and a budget has counted the one into the other.
    """
    limit = call.parameters.max_tokens or entry.parameters.max_tokens
    if limit is None:
        return None
    budget = reasoning.budget_tokens if reasoning else None
    is_counted = call.parameters.max_tokens and call.reasoning and call.reasoning.budget_tokens
    return limit + max(entry.quirks.thinking_tokens, 0 if is_counted else budget or 0)


def _require_capabilities(entry: ModelEntry, call: Call) -> None:
    if call.tools and not entry.can("tools"):
        raise Unsupported(f"{entry.id} takes no tools, says the catalog.")
    if any(message.images for message in call.messages) and not entry.can("vision"):
        raise Unsupported(f"{entry.id} takes no images, says the catalog.")
    if call.reasoning is not None and entry.reasoning is None:
        raise Unsupported(f"{entry.id} cannot be told how to think, says the catalog.")


def _with_system(system: str | None, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The entry's system prompt first; in one message with the call's own, as templates take only one."""
    if system is None:
        return messages
    if messages and messages[0].role == "system":
        system, messages = f"{system}\n\n{messages[0].text}", messages[1:]
    return (Message(role="system", content=system), *messages)


def _without_system_role(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Every system prompt before the words of the first user message."""
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    others = [message for message in messages if message.role != "system"]
    if not system:
        return messages
    for place, message in enumerate(others):
        if message.role == "user":
            others[place] = message.model_copy(update={"content": _prefixed(system, message)})
            return tuple(others)
    return (Message(role="user", content=system), *others)


def _prefixed(system: str, message: Message) -> str | tuple[Part, ...]:
    if isinstance(message.content, str):
        return f"{system}\n\n{message.content}"
    return (TextPart(text=system), *message.content)
