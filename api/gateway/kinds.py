"""What `/v1` can be asked for, and how its answers are named."""

from dataclasses import dataclass
from typing import Literal

from common.telemetry.port import Operation


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request. `path` lies below our `/v1`, and below the base URL of a server that speaks the same."""

    name: Literal["chat", "completion", "embedding"]
    operation: Operation
    path: str
    document: str
    chunk: str = ""
    id_prefix: str = ""

    @property
    def has_stand_ins(self) -> bool:
        """Whether another model may answer: vectors of different models lie in different spaces."""
        return self.name != "embedding"


CHAT = Kind("chat", "chat", "/chat/completions", "chat.completion", "chat.completion.chunk", "chatcmpl-")
COMPLETION = Kind("completion", "text_completion", "/completions", "text_completion", "text_completion", "cmpl-")
EMBEDDING = Kind("embedding", "embeddings", "/embeddings", "list")
