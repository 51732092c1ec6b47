"""Starting and stopping models: a wish is written, then an operation that follows what comes of it."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from api.database import Database, Row
from api.jobs import parse_id
from common.catalog.local import LocalModel
from common.contracts.fleet import ModelState, OperationAccepted
from common.database import jobs
from common.errors import DependencyDown, IdempotencyConflict, NotFound
from common.fleet import beginning, wishes
from common.fleet.bell import Bell
from common.fleet.documents import is_operation, operation_links
from common.fleet.operations import RUN, STOP, Kind
from common.ids import uuid7

# Each time an operation that kept ours out ended before it could be found.
ATTEMPTS = 3


class OperationNotFound(NotFound):
    """No operation of that id."""

    code = "operation_not_found"


class Asked(NamedTuple):
    """Who asked, under which name and with which Idempotency-Key."""

    name: str
    owner: str
    idempotency_key: str | None = None


class Operations:
    """Begins and finds operations. Of those of a kind on a model one goes on at a time: two that ask get the same.

    Every method may raise `DependencyDown`.
    """

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def run(self, entry: LocalModel, asked: Asked) -> OperationAccepted:
        """Ask for a model. Without an operation it runs already; it goes on for another while then."""
        request = {"model_id": entry.id}
        if (earlier := await self._replayed(RUN, request, asked)) is not None:
            return earlier
        [wish] = await self._database.fetch(wishes.want(entry.id))
        self._bell.ring(entry.id)
        standing = await self._standing(entry.id)
        if standing is not None and standing["is_ready"]:
            return OperationAccepted(operation_id=None, model_id=entry.id, state="ready", links=None)
        return await self._begin(RUN, request, asked, standing, wanted_at=wish["wanted_at"])

    async def stop(
        self, entry: LocalModel, asked: Asked, *, drain_seconds: float | None, is_forced: bool
    ) -> OperationAccepted:
        """Ask for a model to stop. Without an operation it does not run."""
        request = {"model_id": entry.id, "drain_seconds": drain_seconds, "force": is_forced}
        if (earlier := await self._replayed(STOP, request, asked)) is not None:
            return earlier
        unwanted = await self._database.first(wishes.unwant(entry.id, is_forced=is_forced, drain_seconds=drain_seconds))
        self._bell.ring(entry.id)
        if unwanted is None or unwanted["state"] == "stopped":
            return OperationAccepted(operation_id=None, model_id=entry.id, state="stopped", links=None)
        return await self._begin(STOP, request, asked, await self._standing(entry.id))

    async def load(self, operation_id: str) -> Row:
        """The row of an operation, with its `calls`, of which it has none.

        Raises:
            OperationNotFound: there is none of that id.
        """
        try:
            number = parse_id(operation_id)
        except NotFound:
            raise OperationNotFound from None
        row = await self._database.first(jobs.with_calls([number]))
        if row is None or not is_operation(row):
            raise OperationNotFound
        return row

    async def standing_of(self, row: Row) -> Row | None:
        """How the model of an operation stands now."""
        return await self._standing(row["request"]["model_id"])

    async def _standing(self, model: str) -> Row | None:
        return await self._database.first(wishes.look([model]))

    async def _begin(
        self, kind: Kind, request: Mapping[str, Any], asked: Asked, standing: Row | None, wanted_at: Any = None
    ) -> OperationAccepted:
        model = request["model_id"]
        for _ in range(ATTEMPTS):
            statement = beginning.insert(
                uuid7(),
                kind,
                request,
                asked=asked.name,
                owner=asked.owner,
                idempotency_key=asked.idempotency_key,
                request_hash=_fingerprint(kind, request) if asked.idempotency_key else None,
                created_at=wanted_at,
            )
            row = await self._database.first(statement) or await self._database.first(beginning.live(kind, model))
            if row is not None:
                state: ModelState = "queued" if standing is None else standing["state"]
                return _accepted(str(row["id"]), model, state)
            if (earlier := await self._replayed(kind, request, asked)) is not None:
                return earlier
        raise DependencyDown("Operations on this model come and go too fast; ask again.", retry_after_seconds=1)

    async def _replayed(self, kind: Kind, request: Mapping[str, Any], asked: Asked) -> OperationAccepted | None:
        """What an earlier request with the same key began.

        Raises:
            IdempotencyConflict: it asked for something else.
        """
        if asked.idempotency_key is None:
            return None
        row = await self._database.first(jobs.by_idempotency_key(asked.owner, asked.idempotency_key))
        if row is None:
            return None
        if row["request_hash"] != _fingerprint(kind, request):
            raise IdempotencyConflict
        standing = await self.standing_of(row)
        return _accepted(str(row["id"]), request["model_id"], "stopped" if standing is None else standing["state"])


def _accepted(operation_id: str, model: str, state: ModelState) -> OperationAccepted:
    return OperationAccepted(
        operation_id=operation_id, model_id=model, state=state, links=operation_links(operation_id)
    )


def _fingerprint(kind: Kind, request: Mapping[str, Any]) -> str:
    return hashlib.sha256(kind.encode() + orjson.dumps(request, option=orjson.OPT_SORT_KEYS)).hexdigest()
