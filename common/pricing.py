"""What an answer cost, in US dollars. None where no price is known, which is not the same as nothing.

A price of `config/models.yaml` comes first, then nothing at all for what runs on a machine of ours, then the
list of genai-prices. The list is part of that package and is never fetched: its updater stays off.
"""

import logging
from decimal import Decimal
from typing import TYPE_CHECKING

from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage
from common.contracts.models import Price

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation, TieredPrices

# Our names and the list's are the same for these. It knows other providers too, but not what our
# `servers` ask for the models of the same names.
LISTED_PROVIDERS = frozenset({"openai", "anthropic", "google"})

FREE = Price(prompt_usd_per_million=0, completion_usd_per_million=0)
MILLION = 1_000_000

logger = logging.getLogger(__name__)


def load() -> None:
    """Read the list in: 0.2 s the first time, so call it in a thread before a loop asks for prices."""
    _look_up(ModelEntry.model_validate({"id": "openai-gpt-4o"}), Usage())  # any that is listed will do


def cost_usd(entry: ModelEntry, usage: Usage | None) -> float | None:
    """What this model's answer cost at today's prices; None if no price or no usage is known. Never raises.

    Prompt tokens that the provider had in its cache have a price of their own in the list; under a price of
    the catalog file they cost what the others do.
    """
    if entry.price is None and _is_free(entry):
        return 0.0
    if usage is None:
        return None
    if (own := entry.price) is not None:
        prompt = usage.prompt_tokens * own.prompt_usd_per_million
        return (prompt + usage.completion_tokens * own.completion_usd_per_million) / MILLION
    listed = _look_up(entry, usage)
    return float(listed.total_price) if listed else None


def price_of(entry: ModelEntry) -> Price | None:
    """Dollars for a million tokens; of a price that rises with the prompt's length the first step."""
    if entry.price is not None:
        return Price(**entry.price.model_dump())
    if _is_free(entry):
        return FREE
    listed = _look_up(entry, Usage())
    if listed is None:
        return None
    return Price(
        prompt_usd_per_million=_base(listed.model_price.input_mtok),
        completion_usd_per_million=_base(listed.model_price.output_mtok),
    )


def _is_free(entry: ModelEntry) -> bool:
    return entry.local or entry.provider == "mock"


def _look_up(entry: ModelEntry, usage: Usage) -> "PriceCalculation | None":
    if entry.provider not in LISTED_PROVIDERS:
        return None
    import genai_prices

    name = entry.name.removeprefix("models/")  # as Google's own lists spell them
    try:
        counted = genai_prices.Usage(
            input_tokens=usage.prompt_tokens,
            cache_read_tokens=min(usage.cached_prompt_tokens, usage.prompt_tokens),
            output_tokens=usage.completion_tokens,
        )
        listed = genai_prices.calc_price(counted, name, provider_id=entry.provider)
    except LookupError:
        return None
    except Exception:
        logger.exception("genai-prices failed on %s; its answer counts as unpriced", entry.id)
        return None
    # Some models are listed without a price a token, and would seem to cost nothing.
    return listed if listed.model_price.input_mtok is not None else None


def _base(price: "Decimal | TieredPrices | None") -> float:
    """The first step's price; None is what models that write nothing (embeddings) have for their answers."""
    if price is None:
        return 0.0
    return float(price if isinstance(price, Decimal) else price.base)
