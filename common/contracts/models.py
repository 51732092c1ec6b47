"""The wire shape of the catalog."""

from pydantic import BaseModel, Field


class Price(BaseModel):
    """US dollars for a million tokens."""

    prompt_usd_per_million: float
    completion_usd_per_million: float


class ModelDocument(BaseModel):
    """A model that a request may name, by its id or an alias."""

    id: str = Field(description="PROVIDER-MODEL.")
    aliases: list[str]
    provider: str
    local: bool = Field(description="Served by a machine of ours.")
    default: bool = Field(False, description="Asked where a request names no models.")
    available: bool = Field(description="Whether these settings can serve it; its server was not asked.")
    reason: str | None = Field(description="Why it is not available.")
    state: str | None = Field(description="Of a model in a container (`GET /models`); null for others.")
    context_window: int | None = Field(description="Tokens, prompt and answer together.")
    capabilities: list[str]
    fallbacks: list[str] = Field(description="Models that may be asked in its place; the error says which.")
    price: Price | None = Field(description="Null where no price is known.")
    description: str | None


class ModelList(BaseModel):
    """Every model of the catalog file. Providers whose servers take any name can be asked for more."""

    data: list[ModelDocument]
