"""The Google adapter before llmock's rendering of Gemini."""

from collections.abc import Mapping
from typing import ClassVar

from llmock.scenarios import Behavior, Match, Reply
from pydantic import SecretStr

from common.providers.google import Google
from common.providers.http import Proxies
from common.providers.protocol import Provider
from tests.contract.llmock_server import BEYOND_LLMOCK, LlmockSubject
from tests.contract.scripted_server import API_KEY
from tests.contract.troubles import Trouble


class GoogleSubject(LlmockSubject):
    speaks = "gemini"
    model = "gemini-2.5-pro"
    listed: ClassVar[list[str]] = ["gemini-2.5-pro", "gemini-2.0-flash", "gemini-1.5-pro", "gemini-1.5-flash"]
    too_long = ("The input token count (5000) exceeds the maximum number of tokens allowed (4096).", None)
    events_before_text = 0
    cannot: ClassVar[Mapping[str, str]] = {**BEYOND_LLMOCK, "embeddings": "llmock has none in Gemini's format"}

    def adapter(self, url: str) -> Provider:
        return google(url)

    def behaviours(self, trouble: Trouble) -> list[Behavior]:
        """Google withholds an answer rather than call it an error."""
        if trouble is Trouble.REFUSED:
            return [Reply("", finish_reason="content_filter", times=None, match=Match(model=trouble))]
        return super().behaviours(trouble)


def google(url: str) -> Google:
    """The adapter, with a key that no error may show."""
    return Google(url, SecretStr(API_KEY), proxies=Proxies())
