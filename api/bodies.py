"""Reading a JSON body: straight from bytes into a contract."""

from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1024 * 1024

Contract = TypeVar("Contract", bound=BaseModel)


async def read_json(request: Request, contract: type[Contract]) -> Contract:
    """The body as a contract.

    Raises:
        HTTPException: 415 for a body that does not say it is JSON. That is also what keeps other web
            pages out: a browser sends this content type across origins only after asking, and is refused.
        RequestValidationError: it is not what the contract asks for.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, "Send JSON, with `Content-Type: application/json`.")
    try:
        return contract.model_validate_json(await request.body())
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(faults) from None


class BodyLimit:
    """Refuses bodies over MAX_BODY_BYTES, announced or streamed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        is_too_large = announced.isdigit() and int(announced) > MAX_BODY_BYTES
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            if is_too_large:
                raise _too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise _too_large()
            return message

        await self._app(scope, receive_within_limit, send)


def _too_large() -> HTTPException:
    return HTTPException(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
