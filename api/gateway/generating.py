"""A request to a model: from its body to the last byte of its answer."""

import time
from contextlib import aclosing

from starlette.types import Scope

from api.auth import Caller
from api.gateway.asked import parse
from api.gateway.client import DONE, Client
from api.gateway.envelope import NotJson
from api.gateway.exchange import Accounts, Exchange
from api.gateway.faults import Fault
from api.gateway.kinds import CHAT, Kind
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
        _require_json(client.scope)
        asked = parse(kind, await client.body(self._max_body_bytes))
        if kind is CHAT and asked.model in OWNERS:
            behind = await self._virtual.take(client, caller, asked)
            if behind is None:
                return
            asked = behind
        trip = self._travel.begin(asked)
        client.watch(is_streamed=asked.is_streamed)
        with await self._accounts.admit(caller, trip, started) as exchange:
            client.headers.extend(exchange.limits)
            try:
                if asked.is_streamed:
                    await self._stream(client, exchange)
                else:
                    await self._whole(client, exchange)
            except (AppError, Fault):
                client.headers.append((b"x-ultra-attempts", b"%d" % trip.attempts))
                raise

    async def _whole(self, client: Client, exchange: Exchange) -> None:
        answer = await self._travel.whole(exchange.trip)
        cost_usd = exchange.completed(answer)
        headers = exchange.headers()
        if cost_usd is not None:
            headers.append((b"x-ultra-cost-usd", b"%.10g" % cost_usd))
        await client.answer(200, headers, answer.document)

    async def _stream(self, client: Client, exchange: Exchange) -> None:
        stream = await self._travel.stream(exchange.trip)
        try:
            exchange.begun()
            await client.begin_stream(exchange.headers())
            async with aclosing(stream.blocks()) as blocks:
                async for events in blocks:
                    await client.write(events)
            exchange.completed(stream)
            await client.end_stream(DONE)
        except Fault as fault:
            exchange.counted(stream)
            await self._travel.broke_off(exchange.trip, fault)
            raise
        finally:
            await stream.close()


def _require_json(scope: Scope) -> None:
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
