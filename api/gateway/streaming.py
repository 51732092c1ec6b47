"""A stream on its way through: from its first token to the client's last event, counted whatever becomes of it."""

from collections.abc import Callable
from contextlib import aclosing

from api.gateway.client import DONE, Client
from api.gateway.envelope import Header
from api.gateway.exchange import Exchange
from api.gateway.faults import Fault
from api.gateway.travel import Travel

Headers = list[Header]


async def pass_on(
    client: Client,
    travel: Travel,
    exchange: Exchange,
    *,
    headers: Callable[[], Headers] | None = None,
    last: Callable[[bytes], bytes] | None = None,
) -> None:
    """Stream the answer to the client.

    `headers` are asked for when the first token is there, in place of the exchange's own; `last` makes the events
    before the end out of the first ones.

    Raises:
        AppError, Fault: nobody answered, or who did broke off.
    """
    stream = await travel.stream(exchange.trip)
    try:
        exchange.begun()
        await client.begin_stream(exchange.headers() if headers is None else headers())
        first = b""
        async with aclosing(stream.blocks()) as blocks:
            async for events in blocks:
                first = first or events
                await client.write(events)
        exchange.completed(stream)
        await client.end_stream(DONE if last is None else last(first) + DONE)
    except Fault as fault:
        exchange.counted(stream)
        await travel.broke_off(exchange.trip, fault)
        raise
    finally:
        await stream.close()
