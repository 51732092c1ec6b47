"""The Anthropic adapter before llmock's rendering of Anthropic."""

from dataclasses import replace
from typing import Any, ClassVar

from llmock.scenarios import Behavior, Match, Reply
from pydantic import SecretStr

from common.providers.anthropic import Anthropic
from common.providers.anthropic_request import body
from common.providers.http import Proxies
from common.providers.protocol import ModelRequest, Provider
from tests.contract.llmock_server import LlmockSubject
from tests.contract.scripted_server import API_KEY
from tests.contract.troubles import Trouble


class AnthropicSubject(LlmockSubject):
    speaks = "anthropic"
    model = "claude-sonnet-4-6"
    listed: ClassVar[list[str]] = [
        "claude-opus-4-6",
        "claude-sonnet-4-6",
        "claude-haiku-4-5-20251001",
        "claude-3-5-sonnet-20241022",
        "claude-3-opus-20240229",
    ]
    too_long = ("prompt is too long: 5000 tokens > 4096 maximum", "invalid_request_error")
    events_before_text = 3  # the message, its first block, a ping

    def adapter(self, url: str) -> Provider:
        return anthropic(url)

    def asked(self, **fields: Any) -> ModelRequest:
        """llmock reads the schema that was sent where Anthropic's beta had it."""
        request = super().asked(**fields)
        if request.schema is None:
            return request
        return replace(request, extra={**request.extra, "output_format": body(request)["output_config"]["format"]})

    def behaviours(self, trouble: Trouble) -> list[Behavior]:
        """Anthropic refuses at the end of an answer, not with an error."""
        if trouble is Trouble.REFUSED:
            return [Reply("I", finish_reason="content_filter", times=None, match=Match(model=trouble))]
        return super().behaviours(trouble)


def anthropic(url: str) -> Anthropic:
    """The adapter, with a key that no error may show."""
    return Anthropic(url, SecretStr(API_KEY), proxies=Proxies())
