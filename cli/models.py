"""`ultra models`, `ultra models pull` and `ultra models test`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_URL, DataDirOption, JsonOption, KeyOption, UrlOption

if TYPE_CHECKING:
    from cli.client import Document, Server

models = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@models.callback()
def list_models(
    context: typer.Context, as_json: JsonOption = False, url: UrlOption = DEFAULT_URL, key: KeyOption = None
) -> None:
    """List the models that may be asked; pull and test some.

    \b
    ultra models
    ultra models --json | jq -r '.data[] | select(.local) | .id'
    ultra models pull phi3:mini,llama3:8b
    ultra models test --generate
    """  # noqa: D301  # \b keeps the examples' lines apart
    if context.invoked_subcommand is not None:
        return
    from cli.client import Server
    from cli.terminal import output, print_json
    from cli.views.catalog import model_table
    from common.contracts.models import ModelList

    catalog = asyncio.run(_fetch(Server(url, key)))
    if as_json:
        print_json(catalog)
    else:
        output().print(model_table(ModelList.model_validate(catalog).data))


@models.command()
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAMES", help="AVAILABLE_LOCAL_MODELS if left out.", show_default=False),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Fetch models into the Model Runner, or into Ollama.

    A name is the Model Runner's own, or an id or alias of the catalog. What is there already is left alone;
    what was interrupted goes on where it stopped.

    \b
    ultra models pull phi3:mini,llama3:8b
    ultra models pull ai/smollm2 ollama-llama3.1
    MODEL_RUNNER_TYPE=cli ultra models pull hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF

    Exit codes: 0 all are there, 1 failed, 2 usage, 3 some are there, 4 the server cannot be reached,
    130 interrupted.
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.pulling.command import pull as pull_models

    raise typer.Exit(pull_models(names or (), data_dir))


@models.command("test")
def try_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="The Model Runner if left out.", show_default=False)
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Ask each model a short question.")] = False,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Test models straight through their adapters.

    No API, database or workers are needed.

    \b
    ultra models test
    ultra models test --generate
    ultra models test --generate ollama-llama3.1 openai-gpt4o

    Exit code 1 if something fails; it says what to do next.
    """  # noqa: D301  # \b keeps the examples' lines apart
    from cli.checks.finding import worst
    from cli.pulling.names import split
    from cli.surroundings import look_around
    from cli.terminal import output, print_json
    from cli.trial import examine
    from cli.views.findings import findings_table
    from common.catalog.load import load_catalog
    from common.errors import InvalidInput
    from common.settings import load_settings

    settings = load_settings()
    if url := look_around(settings, data_dir).find("MODEL_RUNNER_URL"):
        settings = settings.model_copy(update={"model_runner_url": url})
    try:
        report = asyncio.run(examine(settings, load_catalog(settings), split(names or ()), generate=generate))
    except InvalidInput as error:
        raise typer.BadParameter(error.message) from error
    if as_json:
        print_json(
            {
                "status": worst(report.findings),
                "checks": report.findings,
                "answers": [one.document() for one in report.trials],
            }
        )
    else:
        output().print(findings_table(report.findings))
    raise typer.Exit(1 if worst(report.findings) == "fail" else 0)


async def _fetch(server: "Server") -> "Document":
    from cli.client import Client

    async with Client(server) as client:
        return await client.models()
