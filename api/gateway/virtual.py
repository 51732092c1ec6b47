"""Models that are none of the catalog's: a council of several, and one that looks into documents first."""

from collections.abc import Callable, Mapping

from api.auth import Caller
from api.gateway import council, ivy
from api.gateway.asked import Asked
from api.gateway.client import Client
from api.gateway.council import Council
from api.gateway.ivy import Ivy
from common.catalog.catalog import Catalog
from common.contracts.limits import Limits
from common.errors import ModelNotAllowed, ModelNotFound

# What `/v1/models` lists beside the catalog, and who is said to own it.
OWNERS: Mapping[str, str] = {ivy.NAME: ivy.OWNER, **dict.fromkeys(council.NAMES, "ultra")}


class Virtual:
    """Takes what is asked of them. A key may ask those behind which there is a model that it may ask."""

    def __init__(self, council_: Council, ivy_: Ivy, catalog: Callable[[], Catalog]) -> None:
        self._council = council_
        self._ivy = ivy_
        self._catalog = catalog

    def offered(self, limits: Limits) -> dict[str, str]:
        """Those that a key with these limits may ask, and their owners."""
        if limits.models is None:
            return dict(OWNERS)
        return {name: owner for name, owner in OWNERS.items() if self._is_offered(name, limits)}

    async def take(self, client: Client, caller: Caller, asked: Asked) -> Asked | None:
        """The request to the model behind the name, or None: it was answered.

        Raises:
            ModelNotAllowed: the key may ask none of the models behind the name.
            AppError, Fault: as `Council.serve`.
        """
        behind = self._behind(asked.model)
        allowed = [model for model in behind if caller.limits.allow(model)]
        if not allowed:
            raise ModelNotAllowed(asked.model, behind)
        if asked.model in council.NAMES:
            await self._council.serve(client, caller, asked, allowed)
            return None
        prepared, outcome = await self._ivy.prepared(asked)
        if outcome is not None:
            client.headers.append((b"x-ultra-knowledge", outcome.encode()))
        return prepared

    def _is_offered(self, name: str, limits: Limits) -> bool:
        try:
            return any(limits.allow(model) for model in self._behind(name))
        except ModelNotFound:
            return False

    def _behind(self, name: str) -> list[str]:
        """The catalog's ids of the models that are asked for this one.

        Raises:
            ModelNotFound: the catalog lost one.
        """
        catalog = self._catalog()
        names = catalog.default_models if name in council.NAMES else (self._ivy.model,)
        return [catalog.resolve(one).id for one in names]
