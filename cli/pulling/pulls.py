"""Pull several models, one after the other: two at once would only share the line."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Literal, Protocol

from cli.exits import ExitCode
from cli.pulling.names import Wanted
from cli.pulling.puller import Progress, Puller
from common.errors import AppError, ProviderError, Unavailable

Status = Literal["pulled", "present", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one model; `bytes_` is what came over the line, as far as it was told."""

    model: Wanted
    status: Status
    bytes_: int = 0
    error: AppError | None = None


class Display(Protocol):
    """Shows pulls to people."""

    def progress(self, model: Wanted, progress: Progress) -> None:
        """The model has come so far."""
        ...

    def outcome(self, outcome: Outcome) -> None:
        """The model is done with."""
        ...


async def pull_all(models: Sequence[Wanted], pullers: Mapping[str, Puller], display: Display) -> list[Outcome]:
    """Pull what is missing; a failure stops only its own model. `pullers` are by provider, and closed at the end."""
    outcomes = []
    async with AsyncExitStack() as stack:
        for puller in pullers.values():
            stack.push_async_callback(puller.close)
        for model in models:
            outcome = await _pull(model, pullers[model.provider], display)
            display.outcome(outcome)
            outcomes.append(outcome)
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """0 where every model is there; 3 where some are; else 4 where no server could be reached, or 1."""
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if not errors:
        return ExitCode.COMPLETED
    if len(errors) < len(outcomes):
        return ExitCode.PARTIAL
    return ExitCode.UNREACHABLE if all(isinstance(error, Unavailable) for error in errors) else ExitCode.FAILED


async def _pull(model: Wanted, puller: Puller, display: Display) -> Outcome:
    done_bytes = 0
    try:
        if await puller.has(model.name):
            return Outcome(model, "present")
        async with aclosing(puller.pull(model.name)) as pull:
            async for progress in pull:
                done_bytes = progress.done_bytes
                display.progress(model, progress)
    except ProviderError as error:
        return Outcome(model, "failed", done_bytes, error)
    return Outcome(model, "pulled", done_bytes)
