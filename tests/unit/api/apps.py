"""Small apps around one middleware or error, driven without a socket."""

from collections.abc import AsyncIterator, Callable

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from api import errors


def raising(error: Exception) -> FastAPI:
    """An app whose only route raises."""
    app = FastAPI()
    errors.install(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    return app


def client(app: ASGIApp, host: str = "localhost") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


def streamed(size: int, piece: int = 65_536) -> Callable[[], AsyncIterator[bytes]]:
    """A body of unannounced length."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // piece + 1):
            yield b" " * piece

    return pieces
