"""The Docker engine, by the command that people use."""

import json
import subprocess
from typing import Any

COMMAND_SECONDS = 60


def docker(*arguments: str) -> list[str]:
    """Run the command; the lines that it writes.

    Raises:
        RuntimeError: it failed, or there is no such command; says what it said.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True
        )
    except FileNotFoundError as error:
        raise RuntimeError("there is no `docker` command") from error
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"docker {arguments[0]}: {error.stderr.strip()[-500:]}") from error
    return done.stdout.splitlines()


def inspected(container: str) -> dict[str, Any]:
    """All that the engine knows of a container."""
    document: list[dict[str, Any]] = json.loads("\n".join(docker("inspect", container)))
    return document[0]


def require_image(image: str) -> None:
    """Raises RuntimeError if the engine is away, or has no such image."""
    docker("version")
    if not docker("image", "ls", "--quiet", image):
        raise RuntimeError(f"no image {image}: `make runner-image` builds it")


def labelled(installation: str) -> str:
    """The filter for what an installation of ours made."""
    return f"label=ultra.installation={installation}"


def remove_all(installation: str) -> None:
    """Whatever an installation left in the engine."""
    if containers := docker("ps", "--all", "--quiet", "--filter", labelled(installation)):
        docker("rm", "--force", "--volumes", *containers)
    if networks := docker("network", "ls", "--quiet", "--filter", labelled(installation)):
        docker("network", "rm", *networks)
