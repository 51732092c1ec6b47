"""One model of the catalog."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

ProviderName = Literal["docker_modelrunner", "mock", "openai", "anthropic", "google", "ollama", "local"]
Capability = Literal["chat", "json_schema", "tools", "vision", "embeddings"]
Queue = Literal["local", "cloud"]

PROVIDERS: tuple[ProviderName, ...] = get_args(ProviderName)

# Served by a machine of ours: their calls have their own queue, deadline and price (none).
LOCAL_PROVIDERS: frozenset[ProviderName] = frozenset({"docker_modelrunner", "ollama", "local"})

# Providers whose servers can be told a JSON Schema unless an entry says otherwise.
CONSTRAINING_PROVIDERS: frozenset[ProviderName] = frozenset({"docker_modelrunner", "mock"})

# `llama3:8b`, `org/model`, `model@sha`: what registries use, and nothing that a database cannot store.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"


class EntryParameters(BaseModel):
    """How this model is sampled when a call does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=131_072)
    extra: dict[str, Any] = Field(default_factory=dict, description="Sent to the server as it is.")


class ModelEntry(BaseModel):
    """A model and how to ask it. `provider`, `name` and `local` follow from the id where they are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="PROVIDER-MODEL.", max_length=200, pattern=NAME_PATTERN)
    provider: ProviderName
    name: str = Field(description="What the provider's server calls it.", min_length=1, max_length=200)
    local: bool
    parameters: EntryParameters = EntryParameters()
    system: str | None = Field(None, description="Put before the messages of every call.")
    context_window: int | None = Field(None, ge=1, description="Tokens, prompt and answer together.")
    capabilities: tuple[Capability, ...] = ("chat",)
    aliases: tuple[Annotated[str, Field(max_length=200, pattern=NAME_PATTERN)], ...] = ()
    description: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_from_id(cls, given: Any) -> Any:
        """An unknown prefix is left for `provider` to complain about."""
        if not isinstance(given, dict) or not isinstance(given.get("id"), str):
            return given
        provider, _, name = given["id"].partition("-")
        filled = {"provider": provider, "name": name, "local": provider in LOCAL_PROVIDERS}
        if provider in CONSTRAINING_PROVIDERS:
            filled["capabilities"] = ("chat", "json_schema")
        return filled | given

    @property
    def queue(self) -> Queue:
        """The queue whose workers make this model's calls."""
        return "local" if self.local else "cloud"

    def can(self, capability: Capability) -> bool:
        """Whether the model's server offers this."""
        return capability in self.capabilities
