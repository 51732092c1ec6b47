"""Every fault this program reports on purpose. A docstring is the default message.

Fault
├── Refused              an answer to a caller: an HTTP status, a code, perhaps Retry-After
│   ├── InvalidInput     400, names the parameter
│   │   ├── Unsupported
│   │   └── ContextTooLong
│   ├── UnknownModel     404
│   ├── BodyTooLarge     413
│   ├── Busy             503, asked again later
│   ├── NotReady         503
│   ├── Draining         503
│   ├── NoMemory         503
│   ├── TookTooLong      504
│   └── EngineBroken     500
└── Fatal                ends the process with its exit code
    ├── ModelMissing     3
    ├── OutOfMemory      4
    ├── BadDtype         5
    ├── LoadFailed       6
    ├── EngineFailed     7, when it had been ready
    ├── PullDenied       8, and the others here: of `pull` alone
    ├── NoSpace          9
    └── DownloadFailed   10
"""

import json


class Fault(Exception):
    """Something went wrong."""

    code = "fault"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class Refused(Fault):
    """The call was refused."""

    status = 500
    retry_after_seconds: int | None = None


class InvalidInput(Refused):
    """A parameter is wrong."""

    status = 400
    code = "invalid_value"

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        self.parameter = parameter
        super().__init__(message)


class Unsupported(InvalidInput):
    """This engine cannot do that."""

    code = "unsupported_parameter"


class ContextTooLong(InvalidInput):
    """The prompt does not fit into the model's context window."""

    code = "context_too_long"

    def __init__(self, tokens: int, context_tokens: int, *, parameter: str = "messages") -> None:
        super().__init__(
            f"There are {tokens} tokens and the context window holds {context_tokens}, an answer included: shorten it.",
            parameter=parameter,
        )


class UnknownModel(Refused):
    """Another model is served here."""

    status = 404
    code = "model_not_found"


class BodyTooLarge(Refused):
    """The body is too large."""

    status = 413
    code = "body_too_large"


class Busy(Refused):
    """All slots are taken and the waiting line is full: ask again later."""

    status = 503
    code = "busy"
    retry_after_seconds = 1


class NotReady(Refused):
    """The model is still loading."""

    status = 503
    code = "loading"
    retry_after_seconds = 2


class Draining(Refused):
    """This instance is stopping; nothing was generated, so the same call can be asked again."""

    status = 503
    code = "draining"
    retry_after_seconds = 1


class NoMemory(Refused):
    """There is no memory for this call at the moment: ask again when fewer are answered, or shorten it."""

    status = 503
    code = "out_of_memory"
    retry_after_seconds = 2


class TookTooLong(Refused):
    """The answer was not complete within the deadline."""

    status = 504
    code = "timeout"


class EngineBroken(Refused):
    """The engine stopped working."""

    status = 500
    code = "engine_failed"


class Fatal(Fault):
    """This process cannot serve its model."""

    exit_code = 1

    def line(self) -> str:
        """What the process says last, on standard error: one line of JSON for whoever started it."""
        return json.dumps({"fatal": self.code, "message": self.message}) + "\n"


class ModelMissing(Fatal):
    """There are no weights at ULTRA_MODEL_PATH."""

    code = "model_missing"
    exit_code = 3


class OutOfMemory(Fatal):
    """The model does not fit into the memory of this container."""

    code = "out_of_memory"
    exit_code = 4


class BadDtype(Fatal):
    """The model cannot be loaded in this ULTRA_DTYPE."""

    code = "bad_dtype"
    exit_code = 5


class LoadFailed(Fatal):
    """The model could not be loaded."""

    code = "load_failed"
    exit_code = 6


class EngineFailed(Fatal):
    """The engine was ready, and stopped working."""

    code = "engine_failed"
    exit_code = 7


class PullDenied(Fatal):
    """The hub does not give this repository to us."""

    code = "pull_denied"
    exit_code = 8


class NoSpace(Fatal):
    """The volume has no room for the weights."""

    code = "no_space"
    exit_code = 9


class DownloadFailed(Fatal):
    """The download broke off; the same command goes on where it ended."""

    code = "download_failed"
    exit_code = 10
