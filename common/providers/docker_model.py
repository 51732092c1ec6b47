"""`docker model` as a process: how it is started, and what its complaints mean.

Texts and exit codes are those of docker/model-runner's `cmd/cli` (v1.2) and of docker/cli (20.10 to 28).
"""

import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from common.errors import (
    BadUpstream,
    ContextTooLong,
    NotServed,
    ProviderError,
    RateLimited,
    Unavailable,
    UpstreamDenied,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.providers.ansi import without_escapes
from common.providers.command import Ended, RunningCommand, running
from common.storable import storable

NAME = "docker_modelrunner"

MAX_OUTPUT_BYTES = 4 * 1024 * 1024
MAX_DETAIL_CHARACTERS = 400

# It would pull and start containers on its own; colours and hints are for people.
MANNERS = {"MODEL_RUNNER_NO_AUTO_INSTALL": "1", "NO_COLOR": "1", "DOCKER_CLI_HINTS": "false"}
SECRET_NAMES = re.compile(r"(_KEY|_TOKEN|_SECRET|PASSWORD|DATABASE_URL|REDIS_URL)$")

ADVICE_NO_DOCKER = (
    "There is no `docker` command here: install Docker, or set MODEL_RUNNER_TYPE=api and MODEL_RUNNER_URL."
)
ADVICE_NO_PLUGIN = (
    "Docker has no `model` command here: install the plugin docker-model-plugin (Docker Desktop brings it),"
    " or set MODEL_RUNNER_TYPE=api and MODEL_RUNNER_URL."
)
ADVICE_OLD_PLUGIN = "Docker's `model` command is too old for us: update Docker, or the plugin docker-model-plugin."
ADVICE_NOT_RUNNING = (
    "The Model Runner does not run: start Docker, then `docker desktop enable model-runner` (Docker Desktop)"
    " or `docker model install-runner` (Docker Engine)."
)

ABSENT_MODEL = re.compile(r"model not found|no such model")
STATUS = re.compile(r"status[=: ]+(\d{3})")

BY_STATUS: dict[int, type[ProviderError]] = {
    401: UpstreamDenied,
    403: UpstreamDenied,
    404: UpstreamModelMissing,
    413: ContextTooLong,
    429: RateLimited,
}
FIRST_SERVER_ERROR = 500

# Docker's own usage is shown where it does not know `model`, the plugin's where that does not know an option.
MISSING_PLUGIN = r"unknown command: docker model|'model' is not a docker command|usage:\s+docker \[options\]"
OLD_PLUGIN = r"unknown (shorthand )?flag|unknown command .* for .docker model"
ABSENT_RUNNER = r"model runner is not running|docker daemon running|connect to the docker daemon|connection refused"
TOO_LONG = r"context (length|size|window)|maximum context"
BROKEN_OFF = r"error (reading|parsing) (stream )?response|unexpected eof"

# The first that fits counts; they are compared in small letters.
MEANINGS: tuple[tuple[str, Callable[[str], ProviderError]], ...] = (
    (MISSING_PLUGIN, lambda _: NotServed(ADVICE_NO_PLUGIN)),
    (OLD_PLUGIN, lambda _: NotServed(ADVICE_OLD_PLUGIN)),
    (ABSENT_RUNNER, lambda _: Unavailable(ADVICE_NOT_RUNNING)),
    (TOO_LONG, lambda detail: ContextTooLong(f"{NAME}: {detail}")),
    (BROKEN_OFF, lambda detail: BadUpstream(f"{NAME} broke off: {detail}")),
)


class DockerModel:
    """The `model` command of one `docker`."""

    def __init__(self, command: Sequence[str] = ("docker",), environment: Mapping[str, str] | None = None) -> None:
        """`environment` is ours without its secrets if left out."""
        self._command = tuple(command)
        self._environment = {**(without_secrets(os.environ) if environment is None else environment), **MANNERS}

    @asynccontextmanager
    async def running(self, *arguments: str, stdin: bytes = b"") -> AsyncGenerator[RunningCommand]:
        """`docker model ARGUMENTS`, over when the context is left. See `running` of `command.py`.

        Raises:
            NotServed: there is no `docker`.
        """
        command = (*self._command, "model", *arguments)
        async with AsyncExitStack() as stack:
            try:
                run = await stack.enter_async_context(running(command, stdin=stdin, environment=self._environment))
            except (FileNotFoundError, PermissionError) as error:
                raise NotServed(ADVICE_NO_DOCKER) from error
            except OSError as error:
                raise Unavailable(f"Docker cannot be started: {error.strerror}.") from error
            yield run

    async def output(self, *arguments: str, model: str = "") -> bytes:
        """All that the command prints.

        Raises:
            ProviderError: it failed, at `model` where one was asked for; or it does not stop printing.
        """
        printed = bytearray()
        async with self.running(*arguments) as run:
            while piece := await run.read():
                printed += piece
                if len(printed) > MAX_OUTPUT_BYTES:
                    raise BadUpstream(f"{NAME} printed more than {MAX_OUTPUT_BYTES} bytes.")
            ended = await run.ended()
        if ended.code != 0:
            raise complaint(ended, model)
        return bytes(printed)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without keys and passwords: those are for other servers."""
    return {name: value for name, value in environment.items() if not SECRET_NAMES.search(name.upper())}


def complaint(ended: Ended, model: str = "") -> ProviderError:
    """What a command that failed means, in our tree. Its words are bounded and storable."""
    said = storable(without_escapes(ended.complaint)).strip()
    words = said.lower()
    detail = " ".join(said.split())[:MAX_DETAIL_CHARACTERS] or f"it ended with code {ended.code}"
    if model and ABSENT_MODEL.search(words):
        return missing(model)
    for pattern, meaning in MEANINGS:
        if re.search(pattern, words):
            return meaning(detail)
    if status := STATUS.search(words):
        return _by_status(int(status[1]), model, detail)
    return Unavailable(f"{NAME} failed: {detail}")


def missing(model: str) -> UpstreamModelMissing:
    """The error for a model that has not been pulled."""
    return UpstreamModelMissing(f"{NAME} has no model {model!r}: get it with `ultra models pull {model}`.")


def _by_status(status: int, model: str, detail: str) -> ProviderError:
    kind = Unavailable if status >= FIRST_SERVER_ERROR else BY_STATUS.get(status, UpstreamRejected)
    if kind is UpstreamModelMissing and model:
        return missing(model)
    return kind(f"{NAME} answered {status}: {detail}")
