"""Why a stack does not start.

AppError
└── StackError            exit code 1, one clear line
    ├── CannotStart       found out before anything was started
    └── PartFailed        a part did not start
"""

from common.errors import AppError


class StackError(AppError):
    """The embedded stack failed."""

    code = "stack_error"


class CannotStart(StackError):
    """Nothing was started."""

    code = "cannot_start"


class PartFailed(StackError):
    """A part of the stack did not start."""

    code = "part_failed"
