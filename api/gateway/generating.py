"""A request to a model: from its body to the last byte of its answer."""

import time

from starlette.types import Scope

from api.auth import Caller
from api.gateway.asked import parse
from api.gateway.client import Client
from api.gateway.envelope import NotJson
from api.gateway.exchange import Accounts, Exchange, cost_header
from api.gateway.faults import Fault
from api.gateway.kinds import CHAT, Kind
from api.gateway.streaming import pass_on
from api.gateway.travel import Travel
from api.gateway.virtual import OWNERS, Virtual
from common.errors import AppError


class Generating:
    """Serves chats, completions and embeddings."""

    def __init__(self, travel: Travel, accounts: Accounts, virtual: Virtual, *, max_body_bytes: int) -> None:
        self._travel = travel
        self._accounts = accounts
        self._virtual = virtual
        self._max_body_bytes = max_body_bytes

    async def serve(self, kind: Kind, client: Client, caller: Caller) -> None:
        """Answer the client's request.

        Raises:
            AppError: the request is wrong, or not let in.
            Fault: nobody answered, or who did broke off.
        """
        started = time.perf_counter()
        require_json(client.scope)
        asked = parse(kind, await client.body(self._max_body_bytes))
        client.watch(is_streamed=asked.is_streamed)
        if kind is CHAT and asked.model in OWNERS:
            behind = await self._virtual.take(client, caller, asked)
            if behind is None:
                return
            asked = behind
        trip = self._travel.begin(asked)
        with await self._accounts.admit(caller, trip, started) as exchange:
            client.headers.extend(exchange.limits)
            try:
                if asked.is_streamed:
                    await pass_on(client, self._travel, exchange)
                else:
                    await self._whole(client, exchange)
            except (AppError, Fault):
                client.headers.append((b"x-ultra-attempts", b"%d" % trip.attempts))
                raise

    async def _whole(self, client: Client, exchange: Exchange) -> None:
        answer = await self._travel.whole(exchange.trip)
        cost_usd = exchange.completed(answer)
        await client.answer(200, [*exchange.headers(), *cost_header(cost_usd)], answer.document)


def require_json(scope: Scope) -> None:
    """A browser sends this content type across origins only after asking, and is refused: no page spends our money.

    Raises:
        NotJson: the body does not say that it is JSON.
    """
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            if media_type == b"application/json" or media_type.endswith(b"+json"):
                return
    raise NotJson
