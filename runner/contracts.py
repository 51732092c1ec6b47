"""What is asked of this program, and what an engine gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=1_048_576)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(gt=0, le=1)]
TokenCount = Annotated[int, Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stops = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=16)]


class Message(BaseModel):
    """One turn; what an engine may know besides (tool calls, a name) is kept as it came."""

    model_config = ConfigDict(extra="allow")

    role: Annotated[str, Field(min_length=1, max_length=64)]
    content: Text | list[dict[str, Any]] | None = None


class StreamOptions(BaseModel):
    include_usage: bool = False


class Chat(BaseModel):
    """OpenAI's chat completion. Fields that are not named here reach the engine, which may refuse them."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    seed: Seed | None = None
    stop: Stops | Annotated[str, Field(min_length=1, max_length=256)] | None = None
    n: Literal[1] | None = None

    @property
    def most_tokens(self) -> int | None:
        """How long the answer may be; None where the caller leaves it to the context window."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The texts at which the answer ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk that counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class Inference(BaseModel):
    """`POST /inference`: one prompt."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[Text, Field(min_length=1)]
    system: Text | None = None
    model_id: str | None = None
    max_tokens: TokenCount | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    seed: Seed | None = None
    stop: Stops | Annotated[str, Field(min_length=1, max_length=256)] | None = None

    def as_chat(self) -> Chat:
        """The same as a conversation of one turn."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        said = self.model_dump(exclude_none=True, exclude={"prompt", "system", "model_id"})
        return Chat.model_validate({"messages": [*system, {"role": "user", "content": self.prompt}], **said})


class EmbeddingInput(BaseModel):
    """OpenAI's embeddings request, for texts."""

    model: str | None = None
    input: Annotated[Text, Field(min_length=1)] | Annotated[list[Text], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def texts(self) -> list[str]:
        """What is to be embedded, in its order."""
        return [self.input] if isinstance(self.input, str) else self.input


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model's own tokenizer counts them."""

    prompt_tokens: int
    completion_tokens: int

    def as_json(self) -> dict[str, int]:
        """In OpenAI's words."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True, slots=True)
class Piece:
    """What the engine adds to an answer. The last but one may say why it ends, the last one what it used."""

    delta: Mapping[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    logprobs: Any = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector a text, each of length 1."""

    vectors: list[list[float]]
    prompt_tokens: int
