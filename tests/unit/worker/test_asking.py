"""One upstream request, to servers that mean us no good."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest

from common.contracts.calls import Call
from common.contracts.events import EventName
from common.contracts.messages import Message
from common.errors import BadUpstream
from common.ids import uuid7
from common.providers.length import MAX_ANSWER_CHARACTERS
from common.providers.protocol import (
    EVERYTHING,
    Delta,
    EmbeddingRequest,
    Embeddings,
    ModelRequest,
    ToolCallDelta,
)
from common.routing import Route
from common.telemetry.port import NO_UPSTREAM_REQUEST
from worker.asking import Asking
from worker.store import Claim

QUESTION = (Message(role="user", content="Hello"),)
# More than is taken, and an end all the same: a test that fails must not fill a machine.
PIECES = 3 * MAX_ANSWER_CHARACTERS // 65_536


class Endless:
    """A server that says the same for ever."""

    name = "endless"
    features = EVERYTHING

    def __init__(self, delta: Delta) -> None:
        self._delta = delta
        self.said = 0
        self.is_closed = False

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        try:
            for _ in range(PIECES):
                self.said += 1
                yield self._delta
            yield Delta(finish_reason="stop")
        finally:
            self.is_closed = True

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        raise NotImplementedError

    async def list_models(self) -> list[str]:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class Unwatched:
    """An `EventSink` that keeps nothing."""

    def append(self, job_id: UUID, name: EventName, data: dict[str, Any]) -> None:
        """See `EventSink.append`."""


@pytest.mark.parametrize(
    "delta", [Delta("x" * 65_536), Delta(tool_calls=(ToolCallDelta(0, arguments="x" * 65_536),))], ids=["text", "tool"]
)
async def test_an_answer_without_end_is_none(delta: Delta) -> None:
    server = Endless(delta)
    call = Call(model="local-x", messages=QUESTION)
    claim = Claim(call_id=uuid7(), job_id=uuid7(), attempt=1, model="local-x", call=call, route=Route())
    asking = Asking(claim, server, ModelRequest("x", QUESTION), Unwatched())
    with pytest.raises(BadUpstream, match="more than 4194304 characters"):
        await asking.answer(NO_UPSTREAM_REQUEST)
    assert server.is_closed
    assert server.said == MAX_ANSWER_CHARACTERS // 65_536 + (1 if delta.text else 0)
