"""The adapter for `docker model`, before a command that prints what the real one prints."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from common.providers.model_runner_cli import ModelRunnerCli
from common.providers.protocol import ModelRequest
from tests.contract.subjects import QUESTION, deadline_seconds
from tests.contract.troubles import Trouble
from tests.fake_docker import FakeDocker

PATIENCE_SECONDS = 20
# Before a word there is a process to start, which a loaded machine takes its time for.
START_SECONDS = 2.0
NO_RETRY_AFTER = "the command does not tell how long to wait"


class ModelRunnerCliSubject:
    """One process an answer. It is told a model and a text, and no length."""

    embedding_model = "ai/smollm2"
    cannot: ClassVar[Mapping[str, str]] = {
        "length": "the command has no option for the length of an answer",
        "usage": "what the command tells of usage is tested in test_docker_command.py: no length can be asked for",
        Trouble.RATE_LIMITED: NO_RETRY_AFTER,
        Trouble.AWAY: NO_RETRY_AFTER,
        Trouble.WRONG_KEY: "a Model Runner has no keys",
        Trouble.REFUSED: "a Model Runner filters nothing",
        Trouble.TRUNCATED: "the command ends a truncated stream as if it were whole",
        Trouble.ERROR_HALFWAY: "the command passes over an error in the middle of a stream",
    }

    def __init__(self, docker: FakeDocker) -> None:
        self.docker = docker
        self.listed = docker.models
        self.provider = ModelRunnerCli(docker.command)

    def asked(self, **fields: Any) -> ModelRequest:
        return ModelRequest(**{"model": "ai/smollm2", "messages": QUESTION, **fields})

    def endless(self, **fields: Any) -> ModelRequest:
        return self.asked(model="endless", **fields)

    def troubled(self, trouble: Trouble) -> ModelRequest:
        return self.asked(model=trouble, timeout_seconds=START_SECONDS + deadline_seconds(trouble))

    async def until_asked(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            # for the model first: under load the deadline of a silent server may not see the question itself
            while not self.docker.asked("inspect"):  # noqa: ASYNC110  # another process's file
                await asyncio.sleep(0.01)

    async def is_idle(self) -> bool:
        return self.docker.is_over()
