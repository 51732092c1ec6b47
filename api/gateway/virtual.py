"""Models that are none of the catalog's: a council of several, and one that looks into documents first."""

from collections.abc import Mapping

from api.auth import Caller
from api.gateway import council, ivy
from api.gateway.asked import Asked
from api.gateway.client import Client
from api.gateway.council import Council
from api.gateway.ivy import Ivy

# What `/v1/models` lists beside the catalog, and who is said to own it.
OWNERS: Mapping[str, str] = {ivy.NAME: ivy.OWNER, **dict.fromkeys(council.NAMES, "ultra")}


class Virtual:
    """Takes what is asked of them."""

    def __init__(self, council_: Council, ivy_: Ivy) -> None:
        self._council = council_
        self._ivy = ivy_

    async def take(self, client: Client, caller: Caller, asked: Asked) -> Asked | None:
        """The request to the model behind the name, or None: it was answered.

        Raises:
            AppError, Fault: as `Council.serve`.
        """
        if asked.model in council.NAMES:
            await self._council.serve(client, caller, asked)
            return None
        prepared, outcome = await self._ivy.prepared(asked)
        if outcome is not None:
            client.headers.append((b"x-ultra-knowledge", outcome.encode()))
        return prepared
