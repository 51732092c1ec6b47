"""llmock judges its clients. It must find nothing to blame in one that follows what our errors say.

The adapters never ask twice; whoever calls them does, as `is_retryable` and `retry_after_seconds` allow.
"""

import asyncio

import pytest

from common.errors import ProviderError
from common.providers.complete import complete
from common.providers.protocol import ModelRequest, Provider
from tests.contract.llmock_server import LlmockSubject
from tests.contract.troubles import Trouble

PATIENCE_SECONDS = 0.2
# llmock takes an answer that it has written to the end for one that was read: this one it is still writing when
# its client has gone.
LONG_ANSWER = "word " * 20_000
ONCE = [
    ("rate_limit", {"retry_after": PATIENCE_SECONDS}),
    ("fail", {"status": 500}),
    ("fail", {"status": 503, "retry_after": PATIENCE_SECONDS}),
    ("fail", {"status": 529, "retry_after": PATIENCE_SECONDS}),
    ("disconnect", {"after_chunks": 3}),
    ("truncate", {"after_chunks": 3}),
    ("corrupt", {"after_chunks": 3}),
]


async def persist(provider: Provider, request: ModelRequest) -> str:
    """The answer, after as many tries as the errors allow, three at most."""
    for _ in range(2):
        try:
            return (await complete(provider, request)).text
        except ProviderError as error:
            if not error.is_retryable:
                raise
            await asyncio.sleep(error.retry_after_seconds or 0.01)
    return (await complete(provider, request)).text


@pytest.mark.parametrize(("fault", "how"), ONCE, ids=lambda part: part if isinstance(part, str) else "")
async def test_a_fault_that_passes_is_outlived_with_nothing_to_blame(
    llmocked: LlmockSubject, fault: str, how: dict[str, float]
) -> None:
    llmocked.llmock.reply(LONG_ANSWER)
    getattr(llmocked.llmock, fault)(**how)
    assert await persist(llmocked.provider, llmocked.asked())
    assert len(llmocked.llmock.requests) == 2
    llmocked.llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("trouble", [Trouble.WRONG_KEY, Trouble.NO_SUCH_MODEL, Trouble.TOO_LONG])
async def test_a_fault_that_stays_is_met_once(llmocked: LlmockSubject, trouble: Trouble) -> None:
    with pytest.raises(ProviderError):
        await persist(llmocked.provider, llmocked.troubled(trouble))
    assert len(llmocked.llmock.requests) == 1
    llmocked.llmock.assert_resilient(strict=True)


async def test_a_stall_is_left_before_it_ends(llmocked: LlmockSubject) -> None:
    with pytest.raises(ProviderError):
        await complete(llmocked.provider, llmocked.troubled(Trouble.STALL))
    llmocked.llmock.assert_resilient(strict=True)
