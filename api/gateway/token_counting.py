"""`POST /v1/messages/count_tokens`: how long a prompt is, in the tokens of the model it is meant for."""

from collections.abc import Callable

from api.auth import Caller
from api.gateway.asked import parse
from api.gateway.client import Client
from api.gateway.exchange import NOTHING
from api.gateway.generating import require_json
from api.gateway.json_bytes import dumps
from api.gateway.kinds import CHAT
from api.gateway.limited import Limited
from api.gateway.virtual import OWNERS
from api.gateway.ways import Ways
from common.catalog.catalog import Catalog
from common.errors import NotFound


class TokenCounting:
    """Has the model's own server count, for nobody else knows: what it is shown is what an answer would be made from.

    A count is a request to the key's limits, and no tokens. Nobody stands in: another model counts otherwise.
    """

    def __init__(self, catalog: Callable[[], Catalog], ways: Ways, admission: Limited, *, max_body_bytes: int) -> None:
        self._catalog = catalog
        self._ways = ways
        self._admission = admission
        self._max_body_bytes = max_body_bytes

    async def serve(self, client: Client, caller: Caller) -> None:
        """Answer the client's request.

        Raises:
            AppError: the request is wrong, not let in, or of a model whose tokens nobody counts.
            Fault: the model's server did not answer.
        """
        require_json(client.scope)
        asked = parse(CHAT, await client.body(self._max_body_bytes))
        client.watch(is_streamed=False)
        if asked.model in OWNERS:
            raise _uncounted(asked.model)
        entry = self._catalog().resolve(asked.model)
        admitted = await self._admission.admit(caller, entry.id, 0)
        try:
            client.headers.extend(admitted.headers)
            way = self._ways.counting(entry)
            tokens = None if way is None else await way.count_tokens(asked, entry)
        finally:
            admitted.settle(NOTHING, None)
        if tokens is None:
            raise _uncounted(entry.id)
        await client.answer(200, (), dumps({"input_tokens": tokens}))


def _uncounted(model_id: str) -> NotFound:
    return NotFound(
        f"The tokens of {model_id} cannot be counted before they are used: an answer's `usage` says how many they were."
    )
