"""What went wrong at an upstream, with what its server said about it."""

from common.errors import AppError


class Fault(Exception):
    """A model did not answer, or broke off.

    `error` is that in our words, by which the way goes on; `status`, `param` and `code` are the server's own, where
    it gave any that mean the same to our client.
    """

    def __init__(
        self, error: AppError, *, status: int | None = None, param: str | None = None, code: str | None = None
    ) -> None:
        self.error = error
        self.status = status
        self.param = param
        self.code = code
        super().__init__(error.message)
