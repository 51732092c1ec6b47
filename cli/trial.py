"""`ultra models test`: the adapters' own view of their servers, with no API, database or broker in between."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.checks.finding import Finding, fail, ok
from cli.checks.next_steps import next_step
from cli.printable import printable
from cli.pulling.names import entry_of, is_same
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Call, Parameters, Usage
from common.contracts.messages import Message
from common.errors import ProviderError
from common.providers.complete import complete
from common.providers.protocol import Provider
from common.providers.registry import Providers
from common.settings import Settings

RUNNER = "docker_modelrunner"
QUESTION = "In one sentence: why is the sky blue?"
MAX_TOKENS = 64
# Of servers that know hundreds, some are enough to see that it is the right one.
SHOWN_MODELS = 10
# The namespace that a server leaves out of its models' names.
LIBRARIES = {RUNNER: "ai/", "ollama": "library/"}


@dataclass(frozen=True, slots=True)
class Trial:
    """What one model answered to the question."""

    model: str
    text: str
    seconds: float
    usage: Usage | None

    @property
    def tokens_per_second(self) -> float | None:
        """None where the server does not count."""
        return self.usage.completion_tokens / self.seconds if self.usage and self.seconds else None

    def document(self) -> dict[str, Any]:
        """For programs."""
        usage = self.usage.model_dump() if self.usage else None
        return {
            "model": self.model,
            "text": self.text,
            "seconds": self.seconds,
            "usage": usage,
            "tokens_per_second": self.tokens_per_second,
        }


@dataclass(slots=True)
class Report:
    """Everything that was found, in the order in which it was."""

    findings: list[Finding] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)


async def examine(settings: Settings, catalog: Catalog, names: Sequence[str], *, generate: bool) -> Report:
    """Ask the servers of these models what they have, and with `generate` each model the question.

    Without names it is the Model Runner that is examined, by the model that it would answer with.

    Raises:
        InvalidInput: a name is none.
    """
    entries = [entry_of(name, catalog) for name in names]
    examination = _Examination(settings, catalog, generate=generate)
    try:
        for provider in dict.fromkeys([entry.provider for entry in entries] or [RUNNER]):
            await examination.of_server(provider, [entry for entry in entries if entry.provider == provider])
    finally:
        await examination.providers.close()
    return examination.report


class _Examination:
    """Goes from server to server and writes the report."""

    def __init__(self, settings: Settings, catalog: Catalog, *, generate: bool) -> None:
        # Under USE_MOCK every answer would be the mock's own: what is tested here is the real thing.
        self.providers = Providers(settings.model_copy(update={"use_mock": False}), lambda: catalog)
        self.report = Report()
        self._settings = settings
        self._catalog = catalog
        self._generates = generate

    async def of_server(self, provider: str, entries: Sequence[ModelEntry]) -> None:
        """Whether it can be reached, whether it has the models, what they answer."""
        url = self.providers.base_url(provider)
        prefix = f"{url}: " if url else ""
        try:
            adapter = await self.providers.get(entries[0] if entries else self._catalog.resolve(f"{RUNNER}-any"))
            listed = await adapter.list_models()
        except ProviderError as error:
            self._note(fail(provider, f"{prefix}{printable(error.message)}", next_step(provider, url, error)))
            return
        self._note(ok(provider, f"{prefix}reachable; {_shown(listed)}"))
        chosen = entries or self._default(listed)
        if not chosen:
            self._note(fail("models", "the Model Runner has none", "ultra models pull ai/smollm2"))
        for entry in chosen:
            if not _is_there(entry, listed):
                self._note(fail(entry.id, f"{provider} does not have it", f"ultra models pull {entry.id}"))
            elif self._generates:
                await self._of_model(adapter, entry)
            else:
                self._note(ok(entry.id, "is there"))

    async def _of_model(self, adapter: Provider, entry: ModelEntry) -> None:
        """What it answers, and how fast."""
        question = Message(role="user", content=QUESTION)
        call = Call(model=entry.id, messages=(question,), parameters=Parameters(max_tokens=MAX_TOKENS))
        began = time.monotonic()
        try:
            answer = await complete(adapter, self.providers.request_for(entry, call))
        except ProviderError as error:
            step = next_step(entry.provider, self.providers.base_url(entry.provider), error, entry.id)
            self._note(fail(entry.id, printable(error.message), step))
            return
        trial = Trial(entry.id, answer.text, time.monotonic() - began, answer.usage)
        self.report.trials.append(trial)
        self._note(ok(entry.id, _told(trial)))

    def _default(self, listed: Sequence[str]) -> list[ModelEntry]:
        """The model that the Model Runner would answer with: the setting's, else the catalog's, else any it has."""
        if self._settings.default_local_model:
            return [entry_of(self._settings.default_local_model, self._catalog)]
        for name in (*self._catalog.default_models, *self._catalog.entries):
            entry = self._catalog.resolve(name)
            if entry.provider == RUNNER and _is_there(entry, listed):
                return [entry]
        return [entry_of(name, self._catalog) for name in listed[:1]]

    def _note(self, finding: Finding) -> None:
        self.report.findings.append(finding)


def _is_there(entry: ModelEntry, listed: Sequence[str]) -> bool:
    """Whether its server lists it; servers of others' take names that they do not list."""
    library = LIBRARIES.get(entry.provider)
    return library is None or any(is_same(entry.name, name, library) for name in listed)


def _shown(listed: Sequence[str]) -> str:
    if not listed:
        return "it lists no models"
    more = f", and {len(listed) - SHOWN_MODELS} more" if len(listed) > SHOWN_MODELS else ""
    return f"it has {printable(', '.join(listed[:SHOWN_MODELS]))}{more}"


def _told(trial: Trial) -> str:
    said = " ".join(printable(trial.text).split()) or "(nothing)"
    if trial.usage is None or trial.tokens_per_second is None:
        return f"{said}\n{trial.seconds:.1f} s; the server does not count tokens"
    tokens = trial.usage.completion_tokens
    return f"{said}\n{tokens} tokens in {trial.seconds:.1f} s, {trial.tokens_per_second:.1f} tokens/s"
