"""What an adapter costs over the bare client: the same answer, from the same server, in turn.

The peer is the provider's own SDK used as its documentation shows it; where we use none (Google, Ollama), it is
httpx2 and json. Each answer has 50 pieces; what is compared is the time of a whole answer, one at a time.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anthropic
import httpx2
import openai
from pydantic import SecretStr
from rich.progress import Progress

from benchmarks.canned_server import TOKENS
from benchmarks.figures import Figure
from cli.embedded.ports import free_port
from common.contracts.messages import Message
from common.providers.anthropic import Anthropic
from common.providers.complete import complete
from common.providers.google import Google
from common.providers.http import Proxies
from common.providers.ollama import Ollama
from common.providers.openai_compatible import OpenAICompatible
from common.providers.protocol import ModelRequest, Provider

KEY = SecretStr("any")
QUESTION = "Why is the sky blue?"
REQUEST = ModelRequest("m", (Message(role="user", content=QUESTION),), max_tokens=100)
TURNS = [{"role": "user", "content": QUESTION}]

Bare = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Pair:
    """An adapter, and the bare way to the same answer."""

    name: str
    peer: str
    adapter: Provider
    bare: Bare
    close: Callable[[], Awaitable[None]]


def figures(rounds: int, answers: int, progress: Progress) -> list[Figure]:
    """A line an adapter: milliseconds an answer, ours and the bare client's."""
    with _server() as url:
        return asyncio.run(_measure(url, rounds, answers, progress))


async def _measure(url: str, rounds: int, answers: int, progress: Progress) -> list[Figure]:
    found = []
    for pair in _pairs(url):
        figure = Figure(f"one {TOKENS}-piece answer, {pair.name} adapter beside {pair.peer}", "ms", "lower")
        step = progress.add_task(figure.name, total=2 * rounds)

        async def ours(pair: Pair = pair) -> str:
            return (await complete(pair.adapter, REQUEST)).text

        if await ours() != await pair.bare():
            raise RuntimeError(f"{pair.name}: the adapter and the bare client read another answer")
        for number in range(rounds):
            turns: list[tuple[Bare, list[float]]] = [(ours, figure.ours), (pair.bare, figure.bare)]
            for ask, samples in turns if number % 2 == 0 else reversed(turns):
                started = time.perf_counter()
                for _ in range(answers):
                    await ask()
                samples.append((time.perf_counter() - started) * 1000 / answers)
                progress.advance(step)
        await pair.adapter.close()
        await pair.close()
        found.append(figure)
    return found


def _pairs(url: str) -> Iterator[Pair]:
    proxies = Proxies()
    yield _openai_pair("OpenAI", OpenAICompatible("openai", f"{url}/v1", KEY, proxies=proxies), url)
    claude = anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0)

    async def anthropic_bare() -> str:
        stream = await claude.messages.create(model="m", max_tokens=100, messages=TURNS, stream=True)  # type: ignore[arg-type]
        return "".join(
            [event.delta.text async for event in stream if event.type == "content_block_delta"]  # type: ignore[union-attr]
        )

    yield Pair("Anthropic", "its SDK", Anthropic(url, KEY, proxies=proxies), anthropic_bare, claude.close)
    http = httpx2.AsyncClient(base_url=url)

    async def google_bare() -> str:
        body = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
        async with http.stream("POST", "/v1beta/models/m:streamGenerateContent?alt=sse", json=body) as response:
            chunks = [json.loads(line[6:]) async for line in response.aiter_lines() if line]
        return "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks)

    yield Pair("Google", "httpx2", Google(url, KEY, proxies=proxies), google_bare, _nothing)

    async def ollama_bare() -> str:
        async with http.stream("POST", "/api/chat", json={"model": "m", "messages": TURNS}) as response:
            return "".join([json.loads(line)["message"]["content"] async for line in response.aiter_lines()])

    yield Pair("Ollama", "httpx2", Ollama(url, proxies=proxies), ollama_bare, http.aclose)


def _openai_pair(name: str, adapter: Provider, url: str) -> Pair:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)

    async def bare() -> str:
        stream = await client.chat.completions.create(model="m", messages=TURNS, stream=True, max_tokens=100)  # type: ignore[arg-type]
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    return Pair(name, "its SDK", adapter, bare, client.close)


async def _nothing() -> None:
    pass


@contextmanager
def _server() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.canned_server", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx2.get(url + "/none", timeout=1)
            except httpx2.ConnectError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            except httpx2.HTTPError:
                break  # it is there, and has no such page
        yield url
    finally:
        process.terminate()
        process.wait(10)
