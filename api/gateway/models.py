"""`/v1/models`: the catalog, as OpenAI lists models. No server is asked.

What Anthropic's clients read besides stands beside it: they ask the same path.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from api.gateway.virtual import OWNERS
from common.catalog.catalog import Catalog
from common.contracts.limits import Limits
from common.errors import ModelNotAllowed

# OpenAI says when a model was made. We know when we began to offer it, give or take a restart.
_SINCE = int(time.time())
_SINCE_AS_TEXT = datetime.fromtimestamp(_SINCE, UTC).isoformat()


def listed(catalog: Catalog, limits: Limits, virtual: Mapping[str, str]) -> bytes:
    """Every model of the catalog that a key with these limits may ask, and of those made of others these."""
    offered = [_model(entry.id, entry.provider) for entry in catalog.entries.values() if limits.allow(entry.id)]
    offered += [_model(name, owner) for name, owner in virtual.items()]
    first, last = (offered[0]["id"], offered[-1]["id"]) if offered else (None, None)
    return orjson.dumps({"object": "list", "data": offered, "has_more": False, "first_id": first, "last_id": last})


def retrieved(catalog: Catalog, limits: Limits, virtual: Mapping[str, str], name: str) -> bytes:
    """One of these models, by its id or an alias.

    Raises:
        ModelNotAllowed: a key with these limits may not ask it.
        ModelNotFound: lists the nearest names.
    """
    if name in virtual:
        return orjson.dumps(_model(name, virtual[name]))
    if name in OWNERS:
        raise ModelNotAllowed(name)
    entry = catalog.resolve(name)
    if not limits.allow(entry.id):
        raise ModelNotAllowed(entry.id)
    return orjson.dumps(_model(entry.id, entry.provider))


def _model(name: str, owner: str) -> dict[str, Any]:
    ours = {"id": name, "object": "model", "created": _SINCE, "owned_by": owner}
    return {**ours, "type": "model", "display_name": name, "created_at": _SINCE_AS_TEXT, "lifecycle": "active"}
