"""Any server that speaks OpenAI's chat completions: Docker Model Runner, llama.cpp, vLLM and their like."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from common.contracts.calls import Usage
from common.errors import BadUpstream, Timeout
from common.providers.openai_errors import translated
from common.providers.protocol import Delta, ModelRequest
from common.providers.texts import storable

if TYPE_CHECKING:
    from openai.types import CompletionUsage

# A server that does not even accept a connection in this time is away, however long its model may think.
CONNECT_SECONDS = 5.0
LIST_SECONDS = 10.0
# Answers of ours end in one of these; what a server says beyond them counts as a plain stop.
FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})


class OpenAICompatible:
    """The provider over the openai SDK. Retries are ours alone, so the SDK makes none."""

    def __init__(self, name: str, base_url: str, *, api_key: str | None) -> None:
        import httpx2
        from openai import AsyncOpenAI  # takes most of a second, so only when a model is asked

        self.name = name
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """See `Provider.stream`."""
        from openai import OpenAIError

        finish_reason: str | None = None
        try:
            async with asyncio.timeout(request.timeout_seconds):
                async with await self._client.chat.completions.create(**_body(request)) as chunks:
                    async for chunk in chunks:
                        usage = _usage(chunk.usage)
                        text = ""
                        if chunk.choices:
                            text = storable(chunk.choices[0].delta.content or "")
                            finish_reason = chunk.choices[0].finish_reason or finish_reason
                        if text or usage:
                            yield Delta(text=text, usage=usage)
        except TimeoutError:
            raise Timeout(f"{request.model} did not answer within {request.timeout_seconds:g} s.") from None
        except (OpenAIError, OSError, ValueError) as error:
            raise translated(error, request.model) from error
        except Exception as error:
            # httpx2 raises errors of its own once the body is being read; anything else is ours
            if type(error).__module__.startswith(("httpx2", "httpcore2")):
                raise translated(error, request.model) from error
            raise
        if finish_reason is None:
            raise BadUpstream(f"{request.model} broke off in the middle of its answer.")
        yield Delta(finish_reason=finish_reason if finish_reason in FINISH_REASONS else "stop")

    async def list_models(self) -> list[str]:
        """See `Provider.list_models`."""
        from openai import OpenAIError

        try:
            async with asyncio.timeout(LIST_SECONDS):
                return [model.id async for model in self._client.models.list()]
        except TimeoutError:
            raise Timeout(f"{self.name} did not list its models within {LIST_SECONDS:g} s.") from None
        except (OpenAIError, OSError, ValueError) as error:
            raise translated(error, "the list of models") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _body(request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [message.model_dump() for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": request.schema, "strict": True},
        }
    if request.extra:
        body["extra_body"] = request.extra
    return body


def _usage(reported: "CompletionUsage | None") -> Usage | None:
    if reported is None:
        return None
    return Usage(
        prompt_tokens=reported.prompt_tokens,
        completion_tokens=reported.completion_tokens,
        total_tokens=reported.total_tokens,
    )
