"""The limits of a key on the command line: as options, and in a list."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from common.contracts.limits import Limits

# Postgres' integer; more is no limit to speak of.
MAX_COUNT = 2_147_483_647
MAX_USD = 1_000_000

ModelsOption = Annotated[
    str | None,
    typer.Option("--models", "-m", metavar="A,B", help="The models that the key may ask, ids or aliases; or `all`."),
]
RequestsOption = Annotated[
    str | None, typer.Option("--requests-per-minute", metavar="N", help="In any 60 seconds; or `none`.")
]
TokensOption = Annotated[
    str | None,
    typer.Option("--tokens-per-minute", metavar="N", help="Of prompts and answers, in any 60 seconds; or `none`."),
]
ParallelOption = Annotated[
    str | None, typer.Option("--parallel", metavar="N", help="Calls at work at the same time; or `none`.")
]
BudgetOption = Annotated[
    str | None, typer.Option("--budget", metavar="USD", help="US dollars a month or day, as --per says; or `none`.")
]
PeriodOption = Annotated[
    str | None, typer.Option("--per", metavar="day|month", help="The budget's: calendar days or months, UTC.")
]


def changed(limits: "Limits", **options: str | None) -> "Limits":
    """These limits with those that the options give in their place; None leaves one as it is.

    Raises:
        typer.BadParameter: names the option, and what is wrong with it.
    """
    from dataclasses import replace

    from common.contracts.limits import PERIODS

    changes: dict[str, Any] = {}
    if (models := options["models"]) is not None:
        changes["models"] = None if models == "all" else frozenset(_model_ids(models))
    for name, option in (
        ("requests_per_minute", "--requests-per-minute"),
        ("tokens_per_minute", "--tokens-per-minute"),
        ("parallel_calls", "--parallel"),
    ):
        if (given := options[name]) is not None:
            changes[name] = _count(given, option)
    if (budget := options["budget_usd"]) is not None:
        changes["budget_usd"] = _dollars(budget)
    if (period := options["budget_period"]) is not None:
        if period not in PERIODS:
            raise typer.BadParameter(f"--per: {period!r} is no {' or '.join(PERIODS)}")
        changes["budget_period"] = period
    return replace(limits, **changes)


def told(limits: "Limits") -> str:
    """All limits of a key in a few words; nothing if it has none."""
    words = []
    if limits.requests_per_minute is not None:
        words.append(f"{limits.requests_per_minute:,} requests/min")
    if limits.tokens_per_minute is not None:
        words.append(f"{limits.tokens_per_minute:,} tokens/min")
    if limits.parallel_calls is not None:
        words.append(f"{limits.parallel_calls:,} at once")
    if limits.budget_usd is not None:
        words.append(f"${limits.budget_usd:,g}/{limits.budget_period}")
    if limits.models is not None:
        words.append(f"only {' '.join(sorted(limits.models)) or 'no model at all'}")
    return ", ".join(words)


def _model_ids(names: str) -> list[str]:
    """The ids of these names; what the catalog does not know stays as it is, with a warning."""
    from cli.terminal import diagnostics
    from common.catalog.load import load_catalog
    from common.errors import ModelNotFound
    from common.settings import load_settings

    catalog, ids = load_catalog(load_settings()), []
    for name in filter(None, map(str.strip, names.split(","))):
        try:
            ids.append(catalog.resolve(name).id)
        except ModelNotFound as error:
            diagnostics().out(f"warning: {error.message} The key has it as it is.")
            ids.append(name)
    return ids


def _count(given: str, option: str) -> int | None:
    if given == "none":
        return None
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= MAX_COUNT):
        raise typer.BadParameter(f"{option}: {given!r} is no whole number from 1 to {MAX_COUNT}, nor none")
    return int(given)


def _dollars(given: str) -> float | None:
    if given == "none":
        return None
    try:
        dollars = float(given.removeprefix("$"))
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars <= MAX_USD:
        raise typer.BadParameter(f"--budget: {given!r} is no amount from 0 to {MAX_USD} dollars, nor none")
    return dollars
