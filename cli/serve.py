"""`ultra serve`."""

from typing import Annotated

import typer


def serve(
    host: Annotated[
        list[str] | None, typer.Option(help="Address to listen on, once for each; ULTRA_HOST if left out.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="ULTRA_PORT if left out; 0 takes any free one.")
    ] = None,
) -> None:
    """Run the HTTP API."""
    from api.server import run
    from common.settings import load_settings

    settings = load_settings()
    hosts = host or [settings.ultra_host]
    if "ultra_host" not in settings.model_fields_set:
        # ULTRA_HOST is the address the API is reached at. Nobody gave one, so it is what we listen on.
        reached = [settings.model_copy(update={"ultra_host": one}) for one in hosts]
        settings = min(reached, key=lambda one: one.is_loopback)  # one beyond loopback, if there is any
    run(settings, hosts, settings.ultra_port if port is None else port)
