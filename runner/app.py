"""The paths of an instance."""

import base64
import struct
import time
from contextlib import aclosing
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Send

from runner import envelope
from runner.answering import Answer, Events, send_json
from runner.contracts import Chat, EmbeddingInput, Inference, Piece
from runner.counting import Counting
from runner.faults import BodyTooLarge, EngineBroken, Refused, UnknownModel, Unsupported
from runner.instance import Instance, Status
from runner.metrics import CONTENT_TYPE, Metrics
from runner.shaping import Collected, Shape

Asked = TypeVar("Asked", bound=BaseModel)
OK = 200
UNAVAILABLE = 503
COUNTED = ("/inference", "/v1/chat/completions", "/v1/embeddings")


def create_app(instance: Instance, metrics: Metrics) -> Starlette:
    """The app that serves this instance."""
    paths = Paths(instance, metrics)
    return Starlette(
        middleware=[Middleware(Counting, metrics=metrics, paths=COUNTED)],
        routes=[
            Route("/health", paths.health),
            Route("/ready", paths.ready),
            Route("/metrics", paths.metrics),
            Route("/inference", paths.inference, methods=["POST"]),
            Route("/v1/models", paths.models),
            Route("/v1/chat/completions", paths.chat, methods=["POST"]),
            Route("/v1/embeddings", paths.embeddings, methods=["POST"]),
        ],
        exception_handlers={
            Refused: envelope.on_refused,
            HTTPException: envelope.on_http,
            Exception: envelope.on_crash,
        },
    )


class Paths:
    """One method a path."""

    def __init__(self, instance: Instance, metrics: Metrics) -> None:
        self._instance = instance
        self._metrics = metrics
        self._model = instance.settings.model_id
        self._since = int(time.time())

    async def health(self, _: Request) -> Response:
        """What the instance is and does; 503 once it cannot be anything again."""
        is_alive = self._instance.status is not Status.FAILED
        return JSONResponse(self._instance.health(), OK if is_alive else UNAVAILABLE)

    async def ready(self, _: Request) -> Response:
        """200 once it has generated a token, until it drains."""
        if refusal := self._instance.refusal():
            return JSONResponse(
                {"status": self._instance.status, "reason": refusal.message}, UNAVAILABLE, {"Retry-After": "1"}
            )
        return JSONResponse({"status": self._instance.status})

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(self._instance.health()), media_type=CONTENT_TYPE)

    async def models(self, _: Request) -> Response:
        """The one model."""
        model = {"id": self._model, "object": "model", "created": self._since, "owned_by": "ultra"}
        return JSONResponse({"object": "list", "data": [model]})

    async def inference(self, request: Request) -> Response:
        """One prompt, one response."""
        asked = await self._read(request, Inference)
        self._check_model(asked.model_id)
        chat = asked.as_chat()
        began = time.monotonic()

        async def make(send: Send) -> None:
            answer = await self._collect(chat)
            body = {
                "model_id": self._model,
                "response": answer.message["content"],
                "finish_reason": answer.finish_reason,
                "usage": answer.usage.as_json() if answer.usage else None,
                "latency_ms": round((time.monotonic() - began) * 1000, 1),
            }
            await send_json(send, body)

        return Answer(make)

    async def chat(self, request: Request) -> Response:
        """OpenAI's chat completion, streamed or not."""
        chat = await self._read(request, Chat)
        self._check_model(chat.model)

        async def whole(send: Send) -> None:
            await send_json(send, Shape(self._model).completion(await self._collect(chat)))

        async def streamed(send: Send) -> None:
            await self._stream(chat, send)

        return Answer(streamed if chat.stream else whole)

    async def embeddings(self, request: Request) -> Response:
        """OpenAI's embeddings."""
        asked = await self._read(request, EmbeddingInput)
        self._check_model(asked.model)
        if asked.dimensions is not None:
            raise Unsupported("The model's vectors have the length they have: leave `dimensions` out.")

        async def make(send: Send) -> None:
            embedded = await self._instance.embed(asked.texts)
            data = [
                {"object": "embedding", "index": index, "embedding": _encoded(vector, asked.encoding_format)}
                for index, vector in enumerate(embedded.vectors)
            ]
            usage = {"prompt_tokens": embedded.prompt_tokens, "total_tokens": embedded.prompt_tokens}
            await send_json(send, {"object": "list", "data": data, "model": self._model, "usage": usage})

        return Answer(make)

    async def _read(self, request: Request, contract: type[Asked]) -> Asked:
        """The body, bounded; what cannot be answered now is refused before it is read."""
        if refusal := self._instance.refusal():
            raise refusal
        most = self._instance.settings.max_body_bytes
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise BodyTooLarge(f"The body is larger than {most} bytes.")
        try:
            return contract.model_validate_json(bytes(body))
        except ValidationError as error:
            raise envelope.invalid(error) from None

    def _check_model(self, name: str | None) -> None:
        """A call that meant another model must not be answered by this one: an address can change hands."""
        if name not in (None, self._model):
            raise UnknownModel(f"{self._model!r} is served here, not {name!r}.")

    async def _collect(self, chat: Chat) -> Collected:
        answer = Collected()
        async with aclosing(self._instance.answer(chat)) as pieces:
            async for piece in pieces:
                answer.add(piece)
        if answer.finish_reason is None:
            raise EngineBroken("The answer broke off.")
        return answer

    async def _stream(self, chat: Chat, send: Send) -> None:
        """Server-sent events. Before the first token a fault is a status of its own, after it the last event."""
        events = Events(send)
        shape = Shape(self._model)
        collected = Collected()
        try:
            async with aclosing(self._instance.answer(chat)) as pieces:
                async for piece in pieces:
                    if not events.has_begun:
                        await events.send(shape.opening(counts=chat.wants_usage))
                    if chunk := shape.chunk(piece, counts=chat.wants_usage):
                        await events.send(chunk)
                    collected.add(Piece(finish_reason=piece.finish_reason, usage=piece.usage))
            if collected.finish_reason is None:
                raise EngineBroken("The answer broke off.")
        except Refused as fault:
            if not events.has_begun:
                raise
            await events.end(envelope.envelope(fault))
            return
        if chat.wants_usage and collected.usage is not None:
            await events.send(shape.closing(collected.usage))
        await events.end()


def _encoded(vector: list[float], encoding: str) -> list[float] | str:
    """As JSON numbers, or as OpenAI's clients ask by default: base64 of little-endian float32."""
    return vector if encoding == "float" else base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
