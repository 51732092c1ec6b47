"""Who is calling, and what the caller may do."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from starlette.datastructures import Headers

from api.database import Database
from common.contracts.limits import UNLIMITED, Limits
from common.database import keys
from common.errors import ConfigError, DependencyDown, Forbidden, Unauthenticated
from common.settings import Settings

# A revoked key works this much longer, and a changed one by its old limits; a busy key costs one query in this time.
CACHE_SECONDS = 5.0
# Room for every key of a large installation; past it somebody is guessing, and the cache starts anew.
MAX_CACHED_KEYS = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key, or, where the door is open, whoever is there: owner ''."""

    owner: str = ""
    scopes: frozenset[str] = field(default=frozenset({"submit", "read"}))
    limits: Limits = UNLIMITED

    @property
    def sees(self) -> str | None:
        """Whose jobs this caller sees: an owner's, or None for everybody's."""
        return None if "admin" in self.scopes else self.owner

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


class Auth:
    """Checks keys against the database. A key that is presented is checked even where none is required."""

    def __init__(self, database: Database, *, is_required: bool) -> None:
        self._database = database
        self._is_required = is_required
        self._known: dict[str, tuple[float, asyncio.Task[Caller | None]]] = {}

    async def admit(self, headers: Headers, *scopes: str, takes_any: bool = False) -> Caller:
        """The caller, if it may do what one of `scopes` covers.

        Clients of other vendors' APIs insist on sending a key, whatever it is: with `takes_any` an unknown one is
        none, where none is required.

        Raises:
            Unauthenticated: no key where one is required, or a key that is not live.
            Forbidden: the key lacks them.
            DependencyDown: keys cannot be checked.
        """
        key = presented_key(headers)
        if key is None:
            if self._is_required:
                raise Unauthenticated
            return Caller()
        caller = await self._find(key)
        if caller is None and takes_any and not self._is_required:
            return Caller()
        if caller is None:
            raise Unauthenticated("This API key is unknown or revoked: `ultra keys list` shows those that are live.")
        if not any(map(caller.may, scopes)):
            lacking = " or ".join(map(repr, scopes))
            raise Forbidden(
                f"This API key lacks the scope {lacking}: `ultra keys create --scope` makes one that has it."
            )
        return caller

    async def _find(self, key: str) -> Caller | None:
        """Callers who ask at once share one query."""
        name, now = keys.digest(key), time.monotonic()
        expires_at, asking = self._known.get(name, (0.0, None))
        if asking is None or now >= expires_at:
            if len(self._known) >= MAX_CACHED_KEYS:
                self._known.clear()
            asking = asyncio.create_task(self._ask(key))
            self._known[name] = now + CACHE_SECONDS, asking
        try:
            return await asyncio.shield(asking)
        except DependencyDown:
            self._known.pop(name, None)
            raise

    async def _ask(self, key: str) -> Caller | None:
        row = await self._database.first(keys.find(key))
        return Caller(str(row["id"]), frozenset(row["scopes"]), keys.limits_of(row)) if row else None


def presented_key(headers: Headers) -> str | None:
    """The key of `Authorization: Bearer KEY`, else of `X-API-Key`."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key") or None


def is_key_required(settings: Settings) -> bool:
    """On loopback only if ULTRA_AUTH says so; beyond it unless ULTRA_INSECURE does."""
    if settings.ultra_auth == "required":
        return True
    return not settings.is_loopback and not settings.ultra_insecure


async def refuse_locked_door(settings: Settings, database: Database) -> None:
    """Stop a start that nobody could use: beyond loopback with keys required and none made.

    Raises:
        ConfigError: one line that says what to do.
    """
    if settings.is_loopback or settings.ultra_insecure:
        return
    try:
        row = await database.first(keys.count_live())
    except DependencyDown as error:
        logger.warning("keys not counted: %s", error.message)  # every request is still checked
        return
    if row is None or row["count_1"] == 0:
        raise ConfigError(
            f"ULTRA_HOST={settings.ultra_host} can be reached from elsewhere and no API key exists. Create one "
            "with `ultra keys create NAME` (beside an `ultra up` on loopback, if the database is its own), or set "
            "ULTRA_INSECURE=true to serve everybody."
        )
