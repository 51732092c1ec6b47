"""The statements about API keys, and how a key becomes a digest."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Insert, Select, Update, cast, func, insert, select, update

from common.contracts.limits import UNLIMITED, Limits
from common.database.tables import api_keys

SCOPES = ("submit", "read", "lifecycle", "admin")


# Money is exact in the table, and a float everywhere else.
_LIMITS = (
    api_keys.c.models,
    api_keys.c.requests_per_minute,
    api_keys.c.tokens_per_minute,
    api_keys.c.parallel_calls,
    cast(api_keys.c.budget_usd, Double).label("budget_usd"),
    api_keys.c.budget_period,
)


def generate() -> str:
    """A new key: 256 random bits behind a prefix that secret scanners can recognise."""
    return f"ultra_{secrets.token_urlsafe(32)}"


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def create(key_id: UUID, name: str, key: str, scopes: list[str], limits: Limits = UNLIMITED) -> Insert:
    """Store a key's digest and limits; the key itself is shown once, to its maker."""
    values = {"id": key_id, "name": name, "digest": digest(key), "prefix": key[:12], "scopes": scopes}
    return insert(api_keys).values(values | _columns(limits))


def find(key: str) -> Select[Any]:
    """`(id, name, scopes)` of a live key, and its limits."""
    return select(api_keys.c.id, api_keys.c.name, api_keys.c.scopes, *_LIMITS).where(
        api_keys.c.digest == digest(key), api_keys.c.revoked_at.is_(None)
    )


def listing() -> Select[Any]:
    """Every key with its limits, newest first; never its digest."""
    shown = ("id", "name", "prefix", "scopes", "created_at", "revoked_at")
    return select(*(api_keys.c[name] for name in shown), *_LIMITS).order_by(api_keys.c.id.desc())


def limits_of(row: Mapping[str, Any]) -> Limits:
    """The limits in a row of `find` or `listing`."""
    columns = {column.name: row[column.name] for column in _LIMITS}
    models = columns.pop("models")
    return Limits(models=None if models is None else frozenset(models), **columns)


def limits(key_id: UUID) -> Select[Any]:
    """The limits of a live key; no row if there is none."""
    return select(*_LIMITS).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))


def limit(key_id: UUID, limits: Limits) -> Update:
    """Give a live key these limits in place of those it has; no row if there is no such key."""
    return (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(_columns(limits))
        .returning(api_keys.c.id)
    )


def count_live() -> Select[Any]:
    return select(func.count()).select_from(api_keys).where(api_keys.c.revoked_at.is_(None))


def revoke(key_id: UUID) -> Update:
    """No row if there is no such live key."""
    return (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(api_keys.c.id)
    )


def _columns(limits: Limits) -> dict[str, Any]:
    return asdict(limits) | {"models": None if limits.models is None else sorted(limits.models)}
