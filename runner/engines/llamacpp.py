"""llama.cpp behind the port: its own server in a child process, spoken to in OpenAI's dialect."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import httpx2

from runner.contracts import Chat, Embeddings, Piece, Usage
from runner.engines.gguf_files import gguf_file
from runner.faults import (
    BadDtype,
    ContextTooLong,
    EngineBroken,
    Fatal,
    InvalidInput,
    LoadFailed,
    OutOfMemory,
    Refused,
    Unsupported,
)
from runner.memory import resident_bytes
from runner.settings import Settings

PROGRAM = "runner.engines.llama_process"
# The words before the end that explain it; llama.cpp may say a line a layer.
LAST_LINES = 20
# It keeps nothing, so ending at once is right; this bounds a kernel that is busy freeing its memory.
STOP_SECONDS = 10.0
# Between two tokens of a slow machine; the deadline of the call itself is the server's affair.
CONNECT_SECONDS = 5.0
CLAIMS_MEMORY = ("failed to allocate", "unable to allocate", "out of memory", "cannot allocate")
# What we decide, not the caller: everything else of a request is llama.cpp's own to judge.
OURS = ("model", "stream", "stream_options", "max_completion_tokens")


async def load(settings: Settings) -> "LlamaCpp":
    """llama.cpp, serving the file.

    Raises:
        Fatal: it does not; the kind says what to change.
    """
    if settings.dtype != "auto":
        raise BadDtype(f"llama.cpp computes in the file's own types: unset ULTRA_DTYPE (it says {settings.dtype!r}).")
    path = gguf_file(Path(settings.model_path))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        PROGRAM,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    said: deque[str] = deque(maxlen=LAST_LINES)
    listening = asyncio.create_task(follow(process, said))
    try:
        address = await _address(process, settings, path, said, listening)
    except BaseException:
        await _end(process, listening)
        raise
    return LlamaCpp(process, address, settings.model_id, listening)


class LlamaCpp:
    """One llama.cpp server, ours alone."""

    def __init__(
        self, process: asyncio.subprocess.Process, address: str, model: str, listening: "asyncio.Task[None]"
    ) -> None:
        self._process = process
        self._model = model
        self._listening = listening
        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        # A connection a call: after a stream llama.cpp now and then closes the one it came by, though it says that it
        # keeps it, and the next request is lost. On loopback a new one costs less than a token.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx2.AsyncClient(base_url=address, timeout=timeout, limits=limits, trust_env=False)

    async def generate(self, chat: Chat) -> AsyncGenerator[Piece]:
        """See the port. To close the connection is what makes llama.cpp stop."""
        with _translated():
            async with self._client.stream("POST", "/v1/chat/completions", json=self._asked(chat)) as response:
                if response.is_error:
                    raise _refusal(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if line.startswith(("data: {", "error: {")):
                        for piece in _pieces(json.loads(line.partition(": ")[2])):
                            yield piece

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See the port."""
        with _translated():
            response = await self._client.post("/v1/embeddings", json={"input": list(texts)})
        if response.is_error:
            raise _refusal(response.status_code, response.content)
        body = response.json()
        vectors = [item["embedding"] for item in sorted(body["data"], key=lambda item: item["index"])]
        return Embeddings(vectors, body["usage"]["prompt_tokens"])

    def resident_bytes(self) -> int:
        """See the port."""
        return resident_bytes(os.getpid(), self._process.pid)

    def gpu_memory_bytes(self) -> int | None:
        """Unknown: the wheel computes on processors."""
        return None

    async def broken(self) -> str:
        """See the port."""
        return f"llama.cpp {_how_it_ended(await self._process.wait())}."

    async def close(self) -> None:
        """End the process."""
        await self._client.aclose()
        await _end(self._process, self._listening)

    def _asked(self, chat: Chat) -> dict[str, Any]:
        asked = chat.model_dump(exclude_none=True, exclude=set(OURS))
        asked |= {"model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        if chat.most_tokens is not None:
            asked["max_tokens"] = chat.most_tokens
        return asked


async def _address(
    process: asyncio.subprocess.Process,
    settings: Settings,
    path: Path,
    said: deque[str],
    listening: "asyncio.Task[None]",
) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    asked = {
        "path": str(path),
        "alias": settings.model_id,
        "slots": settings.slots,
        "context": settings.context,
        "threads": settings.threads,
        "parent": os.getpid(),
    }
    process.stdin.write(json.dumps(asked).encode())
    with contextlib.suppress(ConnectionError):
        await process.stdin.drain()
    process.stdin.close()
    answer = json.loads(await process.stdout.readline() or b"{}")
    if "listening" in answer:
        return str(answer["listening"])
    code = await process.wait()
    await listening
    raise _why_not(code, [*said, *([answer["failed"]] if "failed" in answer else [])])


def _why_not(code: int, said: Sequence[str]) -> Fatal:
    """The fault of a process that did not start to serve."""
    words = " / ".join(said) or f"it {_how_it_ended(code)}"
    if code == -signal.SIGKILL:
        return OutOfMemory("llama.cpp was killed while it loaded the model, as happens at the memory limit: raise it.")
    if any(claim in words.lower() for claim in CLAIMS_MEMORY):
        return OutOfMemory(f"llama.cpp found too little memory: {words}")
    return LoadFailed(f"llama.cpp could not load the model: {words}")


async def follow(process: asyncio.subprocess.Process, said: deque[str]) -> None:
    """Pass on what it says, and keep the last of it. Returns when it has ended."""
    assert process.stderr is not None
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # longer than asyncio keeps: it is lost, and the next one is not
            continue
        if not line:
            return
        said.append(line.decode(errors="replace").strip())
        sys.stderr.write(line.decode(errors="replace"))


async def _end(process: asyncio.subprocess.Process, listening: "asyncio.Task[None]") -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
    await listening


def _how_it_ended(code: int) -> str:
    return f"exited with {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except (httpx2.HTTPError, httpx2.StreamError, json.JSONDecodeError) as error:
        raise EngineBroken(f"llama.cpp broke off: {error or type(error).__name__}") from error


def _pieces(chunk: dict[str, Any]) -> list[Piece]:
    """What one event of its stream says."""
    if "error" in chunk:
        raise _refused(500, chunk["error"])
    pieces = [
        Piece(
            {name: value for name, value in choice["delta"].items() if name != "role" and value is not None},
            choice.get("finish_reason"),
            choice.get("logprobs"),
        )
        for choice in chunk.get("choices", [])
    ]
    if usage := chunk.get("usage"):
        pieces.append(Piece(usage=Usage(usage["prompt_tokens"], usage["completion_tokens"])))
    return pieces


def _refusal(status: int, body: bytes) -> Refused:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return EngineBroken(f"llama.cpp answered {status} with something that is no error of its own.")
    return _refused(status, error)


def _refused(status: int, error: dict[str, Any]) -> Refused:
    """Its error in our words."""
    message = str(error.get("message", ""))
    if error.get("type") == "exceed_context_size_error":
        return ContextTooLong(error.get("n_prompt_tokens", 0), error.get("n_ctx", 0))
    if "too large to process" in message:
        return InvalidInput(f"A text is too long for one embedding: {message}", parameter="input")
    if error.get("type") == "not_supported_error" or "input is not supported" in message:
        return Unsupported(message)
    if 400 <= status < 500:  # noqa: PLR2004  # HTTP's own ranges
        return InvalidInput(message)
    return EngineBroken(f"llama.cpp answered {status}: {message}")
