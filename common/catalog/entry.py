"""One model of the catalog."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, field_validator, model_validator

from common.contracts.calls import ErrorClass
from common.contracts.reasoning import ReasoningControl

Capability = Literal["chat", "json_schema", "tools", "vision", "embeddings"]
Queue = Literal["local", "cloud"]

# Those we have adapters for; `servers` of the catalog file adds more, by any name without a dash.
PROVIDERS = ("docker_modelrunner", "mock", "openai", "anthropic", "google", "ollama", "local")

# Served by a machine of ours: their calls have their own queue, deadline and price (none).
LOCAL_PROVIDERS = frozenset({"docker_modelrunner", "ollama", "local"})

# Providers whose servers can be told a JSON Schema unless an entry says otherwise.
CONSTRAINING_PROVIDERS = frozenset({"docker_modelrunner", "mock", "ollama"})

ERROR_CLASSES: tuple[ErrorClass, ...] = get_args(ErrorClass)
Fallbacks = Mapping[ErrorClass, tuple[str, ...]]

# `llama3:8b`, `org/model`, `model@sha`: what registries use, and nothing that a database cannot store.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"


class EntryParameters(BaseModel):
    """How this model is sampled when a call does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=131_072)
    extra: dict[str, Any] = Field(default_factory=dict, description="Sent to the server as it is.")


class Quirks(BaseModel):
    """How this model differs from what everybody else takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: Literal["role", "first_user"] = Field(
        "role", description="`first_user` puts the system prompt before the first user message: no such role."
    )
    drop: tuple[Literal["temperature", "top_p", "max_tokens", "stop", "seed"], ...] = Field(
        (), description="Parameters that the model refuses; they are not sent."
    )
    rename: dict[str, str] = Field(default_factory=dict, description="Parameters it knows by another name.")
    thinking_tokens: int = Field(
        0, ge=0, le=131_072, description="Added to every max_tokens: the model's thoughts count against it."
    )


class ModelPrice(BaseModel):
    """US dollars for a million tokens, in place of the price that genai-prices knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_usd_per_million: float = Field(ge=0)
    completion_usd_per_million: float = Field(ge=0)


class ModelServer(BaseModel):
    """One more OpenAI-compatible server: a provider of the name it is given in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="Ends before `/chat/completions`.")
    api_key_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="The variable that holds its key; none if left out."
    )
    local: bool = Field(False, description="Whether it is a machine of yours.")

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        TypeAdapter(HttpUrl).validate_python(value)
        return value.rstrip("/")


class ModelEntry(BaseModel):
    """A model and how to ask it. `provider`, `name` and `local` follow from the id where they are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="PROVIDER-MODEL.", max_length=200, pattern=NAME_PATTERN)
    provider: str
    name: str = Field(description="What the provider's server calls it.", min_length=1, max_length=200)
    local: bool
    parameters: EntryParameters = EntryParameters()
    system: str | None = Field(None, description="Put before the messages of every call.")
    slots: int | None = Field(
        None, ge=1, le=10_000, description="Calls that its server works on at once; others wait (docs/limits.md)."
    )
    context_window: int | None = Field(None, ge=1, description="Tokens, prompt and answer together.")
    capabilities: tuple[Capability, ...] = ("chat",)
    reasoning: ReasoningControl | None = Field(
        None, description="How an adapter tells it to think; left out, it cannot be told."
    )
    aliases: tuple[Annotated[str, Field(max_length=200, pattern=NAME_PATTERN)], ...] = ()
    quirks: Quirks = Quirks()
    fallbacks: dict[ErrorClass, tuple[str, ...]] = Field(
        default_factory=dict, description="Models that are asked in its place, by class of error; a list is for all."
    )
    price: ModelPrice | None = None
    description: str | None = None

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _for_every_class(cls, given: Any) -> Any:
        return dict.fromkeys(ERROR_CLASSES, given) if isinstance(given, list | tuple) else given

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
