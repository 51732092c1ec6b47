"""What routes ask for."""

from typing import Annotated

from fastapi import Depends, Path, Request

from api.auth import Caller
from api.examples import JOB_ID
from api.runtime import Runtime


def runtime_of(request: Request) -> Runtime:
    """The process's parts."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(runtime_of)]


async def _reader(request: Request, runtime: RuntimeDep) -> Caller:
    return await runtime.auth.admit(request.headers, "read")


async def _submitter(request: Request, runtime: RuntimeDep) -> Caller:
    return await runtime.auth.admit(request.headers, "submit")


async def _keeper(request: Request, runtime: RuntimeDep) -> Caller:
    return await runtime.auth.admit(request.headers, "lifecycle")


async def _follower(request: Request, runtime: RuntimeDep) -> Caller:
    return await runtime.auth.admit(request.headers, "read", "lifecycle")


ReaderDep = Annotated[Caller, Depends(_reader)]
"""Somebody who may look."""

SubmitterDep = Annotated[Caller, Depends(_submitter)]
"""Somebody who may make, cancel and delete jobs."""

KeeperDep = Annotated[Caller, Depends(_keeper)]
"""Somebody who may start and stop models."""

FollowerDep = Annotated[Caller, Depends(_follower)]
"""Somebody who may look at models, or who may start and stop them and wants to see what came of it."""

OperationId = Annotated[
    str, Path(description="The operation's id.", json_schema_extra={"format": "uuid"}, examples=[JOB_ID])
]
JobId = Annotated[str, Path(description="The job's id.", json_schema_extra={"format": "uuid"}, examples=[JOB_ID])]
