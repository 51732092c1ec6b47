"""The OpenAI-compatible adapter before llmock's rendering of OpenAI."""

from typing import ClassVar

from common.providers.protocol import Provider
from tests.contract.llmock_server import LlmockSubject
from tests.contract.subjects import openai_compatible


class OpenAISubject(LlmockSubject):
    speaks = "openai"
    model = "gpt-4o"
    embedding_model = "text-embedding-3-small"
    listed: ClassVar[list[str]] = [
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-4-turbo",
        "gpt-3.5-turbo",
        "gpt-image-1",
        "text-embedding-3-small",
        "text-embedding-3-large",
    ]
    too_long = ("This model's maximum context length is 4096 tokens.", "context_length_exceeded")
    events_before_text = 1  # the role

    def adapter(self, url: str) -> Provider:
        return openai_compatible(url)
