from collections.abc import AsyncGenerator

import pytest

from common.errors import BadUpstream
from common.providers.complete import joined
from common.providers.length import MAX_ANSWER_CHARACTERS
from common.providers.protocol import Delta, ToolCallDelta

PIECE = 65_536
PIECES = MAX_ANSWER_CHARACTERS // PIECE


async def saying(delta: Delta, times: int) -> AsyncGenerator[Delta]:
    for _ in range(times):
        yield delta
    yield Delta(finish_reason="stop")


@pytest.mark.parametrize(
    "delta",
    [
        Delta("x" * PIECE),
        Delta(thoughts="x" * PIECE),
        Delta(tool_calls=(ToolCallDelta(0, arguments="x" * PIECE),)),
        Delta(tool_calls=tuple(ToolCallDelta(index) for index in range(PIECE // 16))),
    ],
    ids=["text", "thoughts", "arguments", "tool calls"],
)
async def test_an_answer_without_end_is_none(delta: Delta) -> None:
    with pytest.raises(BadUpstream, match="more than 4194304 characters"):
        await joined(saying(delta, PIECES + 1))


async def test_the_longest_answer_comes_whole() -> None:
    assert len((await joined(saying(Delta("x" * PIECE), PIECES))).text) == MAX_ANSWER_CHARACTERS
