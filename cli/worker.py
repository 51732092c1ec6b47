"""`ultra worker`."""

import os
from typing import Annotated

import typer

from cli.options import DataDirOption

# One a node, and one thread: it looks after the node's containers of models.
LIFECYCLE = "lifecycle"
# One a GPU: it makes the calls to the models that lie there.
GPU = "gpu"


def worker(
    kind: Annotated[
        str, typer.Argument(help="control, cloud, local, worker for all three, lifecycle, or gpu.")
    ] = "worker",
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Threads; the kind's own if left out.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "--node", help="Name of this node; the host name if left out.")
    ] = None,
    device: Annotated[
        int | None, typer.Option(min=0, max=1023, help="The GPU of a gpu worker, as nvidia-smi counts.")
    ] = None,
    stop_models: Annotated[
        bool, typer.Option("--stop-models", help="A lifecycle worker that stops has its models stop too.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Run a worker. Start as many as you like, on as many machines as share the database and the broker.

    Without DATABASE_URL and REDIS_URL it works for the `ultra up` that runs on this machine.
    """
    from cli.surroundings import look_around
    from common.errors import ConfigError
    from common.settings import load_settings
    from worker.kinds import KINDS
    from worker.lifecycle.worker import run_lifecycle_worker
    from worker.pinning import run_gpu_worker
    from worker.start import run_worker

    kinds = (*KINDS, LIFECYCLE, GPU)
    if kind not in kinds:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(kinds)}")
    if (kind == GPU) != (device is not None):
        raise typer.BadParameter("`gpu` and `--device N` go together")
    try:
        # into the environment: whatever the worker starts is to find them too
        os.environ |= look_around(load_settings(), data_dir).missing()
        load_settings.cache_clear()
        settings = load_settings()
        if kind == LIFECYCLE:
            code = run_lifecycle_worker(settings, node=name, takes_models_along=stop_models)
        elif device is not None:
            code = run_gpu_worker(settings, device, threads=concurrency, name=name)
        else:
            code = run_worker(settings, KINDS[kind], threads=concurrency, name=name)
    except ConfigError as error:
        typer.echo(f"error: {error.message}", err=True)
        code = 1
    raise typer.Exit(code)
