"""llmock, a server of others that speaks ten providers' wire formats and breaks them to order.

As our scripted server does, it meets the asked model's name: a model named after a trouble makes it, for
as long as it is asked. A provider's subject says where llmock speaks its format, and builds its adapter.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from llmock.pytest_plugin import LLMock
from llmock.scenarios import Behavior, Delay, Fail, Match, Reply, SlowFirstToken, StreamFault
from llmock.testing import LLMockServer

from common.providers.protocol import ModelRequest, Provider
from tests.contract.subjects import QUESTION, deadline_seconds
from tests.contract.troubles import HALFWAY, RETRY_AFTER_SECONDS, SAID_BEFORE, Trouble

# Longer than any test waits; a stream that is left is given up at once.
SILENCE_SECONDS = 3600.0
# A request that is left before its response began is noticed only when this is over: no proof that it was
# withdrawn (the scripted server has that), but the next one must not find a server that still holds it. Ten times as
# long as any test bears silence: else the answer may come first.
DELAY_SECONDS = 3.0
# llmock counts a token for every four characters.
WORD = "one "

# What its faults cannot do, whichever format it speaks.
BEYOND_LLMOCK: dict[str, str] = {
    Trouble.BROKEN_SHAPE: "llmock breaks no chunk but by cutting its JSON in half",
    Trouble.BROKEN_UTF8: "llmock breaks no chunk but by cutting its JSON in half",
    Trouble.ERROR_HALFWAY: "llmock sends no error inside a stream",
    "stop": "llmock reads no stop sequences",
}


class LlmockSubject(ABC):
    """An adapter before llmock; a provider's subject fills in the class variables and `adapter`."""

    speaks: ClassVar[str]
    """llmock's name of the format, a key of `llmock.testing.BASE_PATHS`."""
    model: ClassVar[str]
    embedding_model: ClassVar[str] = ""
    listed: ClassVar[list[str]]
    too_long: ClassVar[tuple[str, str | None]]
    """The message and code with which this provider says that a prompt is too long."""
    events_before_text: ClassVar[int]
    """How many events of a stream come before its first word."""
    cannot: ClassVar[Mapping[str, str]] = BEYOND_LLMOCK

    def __init__(self, server: LLMockServer) -> None:
        self.llmock = LLMock(server).reset()
        for trouble in Trouble:
            self.llmock.add(*self.behaviours(trouble))
        self.provider = self.adapter(self.llmock.base_url(self.speaks))

    @abstractmethod
    def adapter(self, url: str) -> Provider:
        """The adapter, before llmock's `url`, with a key that no error may show."""

    def asked(self, **fields: Any) -> ModelRequest:
        """llmock heeds no `max_tokens`, so a short answer is dictated to it."""
        request = ModelRequest(**{"model": self.model, "messages": QUESTION, **fields})
        if request.max_tokens is None or request.schema or request.tools:
            return request
        model = f"{self.model}-{request.max_tokens}-tokens"
        dictated = Reply(WORD * request.max_tokens, finish_reason="length", times=None, match=Match(model=model))
        self.llmock.add(dictated)
        return ModelRequest(**{"messages": QUESTION, **fields, "model": model})

    def endless(self, **fields: Any) -> ModelRequest:
        return self.asked(model=Trouble.STALL, **fields)

    def troubled(self, trouble: Trouble) -> ModelRequest:
        return self.asked(model=trouble, timeout_seconds=deadline_seconds(trouble))

    async def until_asked(self) -> None:
        journal = self.llmock._server.state.journal
        while not journal.in_flight and not journal.records():  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.005)

    async def is_idle(self) -> bool:
        return self.llmock._server.state.journal.in_flight == 0

    def behaviours(self, trouble: Trouble) -> list[Behavior]:
        """What llmock does when a model of the trouble's name is asked. Empty where it cannot."""
        always: dict[str, Any] = {"times": None, "match": Match(model=trouble)}
        after = self.events_before_text + len(SAID_BEFORE.split())
        too_long, too_long_code = self.too_long
        behaviours: dict[Trouble, Behavior] = {
            Trouble.RATE_LIMITED: Fail(429, retry_after=RETRY_AFTER_SECONDS, **always),
            Trouble.SERVER_ERROR: Fail(500, **always),
            Trouble.OVERLOADED: Fail(529, **always),
            Trouble.AWAY: Fail(503, retry_after=RETRY_AFTER_SECONDS, **always),
            Trouble.WRONG_KEY: Fail(401, **always),
            Trouble.NO_SUCH_MODEL: Fail(404, **always),
            Trouble.TOO_LONG: Fail(400, message=too_long, code=too_long_code, **always),
            Trouble.REFUSED: Fail(400, code="content_filter", **always),
            Trouble.NO_RESPONSE: Delay(DELAY_SECONDS, **always),
            Trouble.SLOW_FIRST_TOKEN: SlowFirstToken(SILENCE_SECONDS, **always),
            Trouble.STALL: StreamFault("stall", after_chunks=after, stall_seconds=SILENCE_SECONDS, **always),
            Trouble.DISCONNECT: StreamFault("disconnect", after_chunks=after, **always),
            Trouble.TRUNCATED: StreamFault("truncate", after_chunks=after, **always),
            Trouble.BROKEN_JSON: StreamFault("malformed", after_chunks=after, **always),
        }
        if trouble not in behaviours:
            return []
        said = [Reply(f"{SAID_BEFORE} a time two rivers met.", **always)] if trouble in HALFWAY else []
        return [behaviours[trouble], *said]
