"""What `ultra models pull` does, once its options are read."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.filesize import decimal

from cli.exits import CommandFailed, ExitCode
from cli.pulling.displays import Bars, Lines
from cli.pulling.docker_command import DockerPuller
from cli.pulling.model_runner import ModelRunnerPuller
from cli.pulling.names import Wanted, split, wanted
from cli.pulling.ollama import OllamaPuller
from cli.pulling.puller import Puller
from cli.pulling.pulls import Outcome, exit_code, pull_all
from cli.surroundings import look_around
from cli.terminal import diagnostics
from common.catalog.load import load_catalog
from common.errors import InvalidInput
from common.providers.http import Proxies
from common.settings import Settings, load_settings


class Interrupted(CommandFailed):
    """Interrupted: pull again, and the servers go on from what has come."""

    exit_code = ExitCode.INTERRUPTED


def pull(names: Sequence[str], data_dir: Path | None = None) -> ExitCode:
    """Pull these models, or those of AVAILABLE_LOCAL_MODELS; shows progress on standard error."""
    settings = load_settings()
    chosen = split(names) or split([settings.available_local_models])
    if not chosen:
        raise typer.BadParameter("name a model, or set AVAILABLE_LOCAL_MODELS")
    try:
        models = wanted(chosen, load_catalog(settings))
    except InvalidInput as error:
        raise typer.BadParameter(error.message) from error
    model_runner_url = look_around(settings, data_dir).find("MODEL_RUNNER_URL") or settings.model_runner_url
    console = diagnostics()
    display = Bars(models, console) if console.is_terminal else Lines(console)
    try:
        with display:
            outcomes = asyncio.run(pull_all(models, pullers_for(models, settings, model_runner_url), display))
    except KeyboardInterrupt as error:
        raise Interrupted from error
    for outcome in outcomes:
        _print(outcome)
    return exit_code(outcomes)


def pullers_for(models: Sequence[Wanted], settings: Settings, model_runner_url: str) -> Mapping[str, Puller]:
    """The servers that these models need, by provider."""
    made: dict[str, Puller] = {}
    proxies = Proxies.of(settings)
    for provider in {model.provider for model in models}:
        if provider == "ollama":
            made[provider] = OllamaPuller(settings.ollama_base_url, proxies)
        elif settings.model_runner_type == "cli":
            made[provider] = DockerPuller()
        else:
            made[provider] = ModelRunnerPuller(model_runner_url, proxies)
    return made


def _print(outcome: Outcome) -> None:
    name = outcome.model.name
    if outcome.error is not None:
        typer.echo(f"error: {name}: {outcome.error.message}", err=True)
    elif outcome.status == "present":
        typer.echo(f"{name}: is there already")
    else:
        size = f", {decimal(outcome.bytes_)}" if outcome.bytes_ else ""
        typer.echo(f"{name}: pulled{size}")
