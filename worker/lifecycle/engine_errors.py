"""What can go wrong between us and the Docker engine.

EngineError
├── EngineAway          nobody answers, or nobody in time: time helps
├── EngineTooOld        it speaks no version of the API that we do
├── NoSuchContainer
├── NoSuchImage         not on this machine, and no registry has it
├── WeightsNotPulled    the container that should have pulled them failed, in its own words
├── NameTaken           by a container that is not the one we meant to create
└── EngineRefused       anything else that the engine says no to, in its own words
"""

from common.errors import AppError

# An engine quotes its callers and its registries at length.
MAX_SAID_CHARACTERS = 500


class EngineError(AppError):
    """The Docker engine failed."""

    code = "engine_error"


class EngineAway(EngineError):
    """The Docker engine does not answer: see that it runs, and that DOCKER_HOST names it."""

    code = "engine_away"


class EngineTooOld(EngineError):
    """The Docker engine is too old, or too new."""

    code = "engine_too_old"


class NoSuchContainer(EngineError):
    """The engine has no such container."""

    code = "no_such_container"


class NoSuchImage(EngineError):
    """The image is not on this machine, and no registry has it."""

    code = "no_such_image"

    def __init__(self, image: str, said: str) -> None:
        super().__init__(f"No image {image!r} on this machine, and it cannot be pulled: {bounded(said)}")


class WeightsNotPulled(EngineError):
    """The weights could not be pulled."""

    code = "weights_not_pulled"


class NameTaken(EngineError):
    """Another container has this name."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"A container named {name!r} exists that is not ours to use: rename or remove it.")


class EngineRefused(EngineError):
    """The Docker engine refused."""

    code = "engine_refused"

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        super().__init__(f"The Docker engine refused: {bounded(said)}")


def bounded(said: str) -> str:
    """What somebody else said, on one line of a length that a log can bear."""
    return " ".join(said.split())[:MAX_SAID_CHARACTERS]
