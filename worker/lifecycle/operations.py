"""Operations on models follow their models' rows: started, told of, and ended by the lifecycle workers.

Every lifecycle worker follows all of them, and one wins each write, so that an operation on a model that no node
has claimed ends too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.contracts.calls import ErrorDetail
from common.contracts.fleet import OperationProgress
from common.database.bounded import bounded
from common.events import EventSink
from common.fleet import operations as sql
from common.fleet.contracts import State
from common.fleet.documents import operation

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """An operation is over: `result` what became of the model, or `error`."""

    status: Literal["completed", "failed"]
    result: dict[str, Any] | None = None
    error: ErrorDetail | None = None


class Operations:
    """Belongs to an event loop. Remembers what watchers were told, so as to tell them news alone."""

    def __init__(self, engine: AsyncEngine, events: EventSink, node: str) -> None:
        self._engine = engine
        self._events = events
        self._node = node
        self._told: dict[UUID, dict[str, Any]] = {}

    async def follow(self) -> None:
        """Move every operation as far as its model has come."""
        await bounded(self._follow())

    async def _follow(self) -> None:
        async with self._engine.connect() as connection:
            live = [dict(row) for row in (await connection.execute(sql.live())).mappings()]
            for row in live:
                if (ended := end_of(row)) is None:
                    await self._tell(connection, row)
                else:
                    error = None if ended.error is None else ended.error.model_dump()
                    statement = sql.finish(row["id"], ended.status, result=ended.result, error=error)
                    finished = (await connection.execute(statement)).mappings().first()
                    if finished is not None:
                        self._events.append(row["id"], "job.finished", operation(dict(finished)).model_dump())
        self._told = {row["id"]: self._told[row["id"]] for row in live if row["id"] in self._told}

    async def _tell(self, connection: AsyncConnection, row: Row) -> None:
        if row["status"] == "queued":
            await connection.execute(sql.begin(row["id"]))
        progress = progress_of(row)
        if row["node"] in {None, self._node} and self._told.get(row["id"]) != progress:
            self._told[row["id"]] = progress
            self._events.append(row["id"], "job.status", {"status": "running", "progress": progress})


def progress_of(row: Row) -> dict[str, Any]:
    """Where the model is, as an operation's document has it."""
    return OperationProgress(phase=row["state"], reason=row["reason"], details=row["progress"]).model_dump()


def end_of(row: Row) -> Ended | None:
    """Whether an operation is over, and how."""
    result = {name: row[name] for name in ("state", "node", "generation")} | {"model_id": row["model"]}
    return _end_of_stop(row, result) if row["kind"] == sql.STOP else _end_of_run(row, result)


def _end_of_run(row: Row, result: dict[str, Any]) -> Ended | None:
    """A failure from before it was asked for is none of its own."""
    has_failed = row["failed_at"] is not None and row["failed_at"] >= row["created_at"]
    if row["is_wanted"] and row["state"] == State.READY:
        return Ended("completed", result)
    if has_failed and (row["state"] == State.FAILED or not row["is_wanted"]):
        fault = row["fault"] or {"code": "failed", "message": row["reason"] or "It could not be started."}
        return Ended("failed", result, ErrorDetail(code=fault["code"], message=fault["message"]))
    if not row["is_wanted"]:
        message = row["reason"] or "The model was stopped before it was ready."
        return Ended("failed", result, ErrorDetail(code="stopped", message=message))
    return None


def _end_of_stop(row: Row, result: dict[str, Any]) -> Ended | None:
    if row["state"] in {None, State.STOPPED}:
        return Ended("completed", result | {"state": State.STOPPED})
    if row["is_wanted"]:
        return Ended("failed", result, ErrorDetail(code="wanted", message="Somebody asked for the model again."))
    return None
