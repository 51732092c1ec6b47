"""Who is asked next: a call's way from the model that was named to one that can answer. Pure decisions.

    asked model ── retries, with backoff ──▶ its fallbacks for this class of error ──▶ given up
         │                                        ▲
         └── offline, or its circuit is open ─────┘   at once

What a call met so far is its history; it is stored with the call, so that another worker goes on from there.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from common.catalog.catalog import Catalog
from common.catalog.entry import ERROR_CLASSES, ModelEntry
from common.contracts.calls import Attempt, Call, ErrorClass
from common.errors import AppError, ModelNotFound, ProviderError

# Full jitter between 0 and twice the last bound: retries of many calls spread out by themselves.
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
# A server may ask for an hour; a call that waits longer than this had better fail.
MAX_RETRY_AFTER_SECONDS = 120.0
# With somebody else to ask, people would rather not wait longer than this.
FAILOVER_PATIENCE_SECONDS = 5.0

# Why a model was passed over without a request. The first two may pass; waiting helps.
CIRCUIT_OPEN, OFFLINE, NOT_SERVED, PREFERENCE = "circuit_open", "offline", "not_served", "preference"
PASSED_OVER = frozenset({CIRCUIT_OPEN, OFFLINE, NOT_SERVED, PREFERENCE})
# Another model was at hand: nothing was repeated and nobody waited.
COSTS_NO_RETRY = PASSED_OVER - {CIRCUIT_OPEN}

CLASS_OF_CODE: dict[str, ErrorClass] = {
    "rate_limited": "rate_limited",
    "context_too_long": "context_too_long",
    "content_refused": "content_refused",
    "unavailable": "unavailable",
    "timeout": "unavailable",
    "bad_upstream": "unavailable",
    "upstream_model_missing": "unavailable",
    "upstream_denied": "unavailable",
    "unsupported": "unavailable",
    "not_started": "unavailable",
    "instance_gone": "unavailable",
    NOT_SERVED: "unavailable",
    CIRCUIT_OPEN: "unavailable",
    OFFLINE: "unavailable",
    PREFERENCE: "unavailable",
}
RETRYABLE = frozenset(
    {CIRCUIT_OPEN, OFFLINE} | {error.code for error in ProviderError.__subclasses__() if error.is_retryable}
)


class Route(BaseModel):
    """How far a call has come: stored with it whenever it goes back into the queue."""

    model_config = ConfigDict(frozen=True)

    history: tuple[Attempt, ...] = ()
    next: str | None = Field(None, description="The model to ask; the first of the chain if nothing was tried yet.")
    unsent: int = Field(0, description="Claims that ended without an upstream request.")


@dataclass(frozen=True, slots=True)
class Chain:
    """The models that may answer for one call: the one that was named, and who may stand in for it.

    `stand_ins` are the local models for a cloud model that cannot be reached; empty for a local one.
    """

    asked: ModelEntry
    fallbacks: Mapping[ErrorClass, tuple[ModelEntry, ...]]
    stand_ins: tuple[ModelEntry, ...] = ()

    @property
    def others(self) -> tuple[ModelEntry, ...]:
        """Every fallback, whatever it is for."""
        return _unique(entry for name in ERROR_CLASSES for entry in self.fallbacks.get(name, ()))

    def entry(self, model_id: str | None) -> ModelEntry | None:
        """The model of that id, if it is of this chain."""
        known = (self.asked, *self.others, *self.stand_ins)
        return next((entry for entry in known if entry.id == model_id), None)


@dataclass(frozen=True, slots=True)
class Ask:
    """Put the call to this model now."""

    entry: ModelEntry


@dataclass(frozen=True, slots=True)
class Wait:
    """Put the call to this model after a while."""

    entry: ModelEntry
    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody is left to ask: the last error stands."""


Step = Ask | Wait | GiveUp


def chain_of(call: Call, catalog: Catalog, stand_ins: Sequence[ModelEntry]) -> Chain:
    """The call's chain, by its own wishes and then by the catalog.

    A fallback that left the catalog since the call was made is left out.

    Raises:
        ModelNotFound: the asked model left the catalog.
    """
    asked = catalog.resolve(call.model)
    names = asked.fallbacks if call.routing.fallbacks is None else call.routing.fallbacks
    fallbacks = {name: tuple(_resolved(ids, catalog)) for name, ids in names.items()}
    return Chain(asked, fallbacks, () if asked.local else tuple(stand_ins))


def first(chain: Chain, prefer: str | None) -> ModelEntry:
    """Whom to begin with: the asked model, unless the other side of its chain is preferred and has one."""
    if prefer == "local" and not chain.asked.local:
        return next((entry for entry in (*chain.others, *chain.stand_ins) if entry.local), chain.asked)
    if prefer == "cloud" and chain.asked.local:
        return next((entry for entry in chain.others if not entry.local), chain.asked)
    return chain.asked


def next_step(
    chain: Chain,
    history: Sequence[Attempt],
    *,
    max_attempts: int,
    has_budget: bool,
    retry_after_seconds: float | None = None,
) -> Step:
    """What to do after the last of these attempts.

    1. An error that time may heal: the same model again, until it was asked `max_attempts` times, as long as
       the job has a retry left; unless somebody else could answer and the wait would be long, or the model
       was passed over without being asked. Waiting for a circuit costs a retry of the job, and no attempt.
    2. The first model of the chain for this class of error that was not tried yet.
    3. Nobody: give up.
    """
    last = history[-1]
    tried = sum(attempt.model == last.model and attempt.code not in PASSED_OVER for attempt in history)
    entry = chain.entry(last.model)
    others = _untried(chain, history)
    if last.code in RETRYABLE and tried < max_attempts and has_budget and entry is not None:
        seconds = backoff_seconds(tried, retry_after_seconds)
        is_worth_waiting = last.code not in PASSED_OVER and seconds <= FAILOVER_PATIENCE_SECONDS
        if is_worth_waiting or not others:
            return Wait(entry, seconds)
    return Ask(others[0]) if others else GiveUp()


def has_local_alternative(chain: Chain, history: Sequence[Attempt]) -> bool:
    """Whether a local model may still answer in a cloud model's place."""
    return bool(_local_untried(chain, history))


def stand_ins(catalog: Catalog, default: str | None, available: Iterable[str]) -> tuple[ModelEntry, ...]:
    """The local models for cloud models that cannot be reached, in the order they are asked.

    DEFAULT_LOCAL_MODEL, then AVAILABLE_LOCAL_MODELS; without either the catalog's local default models.
    """
    named = [name for name in (default, *available) if name]
    if named:
        return _unique(entry for name in named if (entry := local_entry(catalog, name)) is not None)
    return tuple(entry for entry in map(catalog.resolve, catalog.default_models) if entry.local)


def local_entry(catalog: Catalog, name: str) -> ModelEntry | None:
    """A local model by its id, an alias, or the name that the Model Runner knows it by."""
    for candidate in (name, f"docker_modelrunner-{name}"):
        try:
            entry = catalog.resolve(candidate)
        except ModelNotFound:
            continue
        if entry.local:
            return entry
    return None


def backoff_seconds(attempt: int, retry_after_seconds: float | None) -> float:
    """Full jitter over a doubling bound, and not before the server's Retry-After, within reason."""
    bound = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**attempt)
    return max(random.uniform(0, bound), min(retry_after_seconds or 0, MAX_RETRY_AFTER_SECONDS))  # noqa: S311  # spreads load


def met(entry: ModelEntry, error: AppError, latency_ms: float | None) -> Attempt:
    """An upstream request that failed."""
    return Attempt(model=entry.id, code=error.code, message=error.message, latency_ms=latency_ms)


def passed_over(entry: ModelEntry, code: str, message: str) -> Attempt:
    """A model that was not asked at all."""
    return Attempt(model=entry.id, code=code, message=message)


def offline(entry: ModelEntry) -> Attempt:
    """A cloud model that a local one stands in for."""
    return passed_over(entry, OFFLINE, "No cloud can be reached: a local model was asked instead.")


def _untried(chain: Chain, history: Sequence[Attempt]) -> tuple[ModelEntry, ...]:
    """Who may be asked after the last attempt, in order."""
    error_class = CLASS_OF_CODE.get(history[-1].code)
    candidates = (*_named(chain, history), *chain.fallbacks.get(error_class, ())) if error_class else ()
    if any(attempt.code == OFFLINE for attempt in history):
        candidates = tuple(entry for entry in (*candidates, *chain.stand_ins) if entry.local)
    return _not_in(history, candidates)


def _local_untried(chain: Chain, history: Sequence[Attempt]) -> tuple[ModelEntry, ...]:
    candidates = (*_named(chain, history), *chain.fallbacks.get("unavailable", ()), *chain.stand_ins)
    return _not_in(history, tuple(entry for entry in candidates if entry.local))


def _named(chain: Chain, history: Sequence[Attempt]) -> tuple[ModelEntry, ...]:
    """The model that was named, if another was preferred to it."""
    return (chain.asked,) if any(attempt.code == PREFERENCE for attempt in history) else ()


def _not_in(history: Sequence[Attempt], candidates: Sequence[ModelEntry]) -> tuple[ModelEntry, ...]:
    seen = {attempt.model for attempt in history if attempt.code != PREFERENCE}
    return tuple(entry for entry in _unique(candidates) if entry.id not in seen)


def _resolved(ids: Iterable[str], catalog: Catalog) -> Iterable[ModelEntry]:
    for model_id in ids:
        try:
            yield catalog.resolve(model_id)
        except ModelNotFound:
            continue


def _unique(entries: Iterable[ModelEntry]) -> tuple[ModelEntry, ...]:
    return tuple({entry.id: entry for entry in entries}.values())
