"""The Ollama adapter before our scripted server, before aimock, and before a real model."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import httpx

from common.contracts.messages import Tool
from common.providers.complete import Completion, complete
from common.providers.mock_json import document
from common.providers.ollama import Ollama
from common.providers.protocol import ModelRequest
from tests.contract.ollama_servers import RunningServer
from tests.contract.scripted_server import MODELS, PROSE, Script
from tests.contract.subjects import QUESTION, ModelRunnerSubject, ScriptedSubject, deadline_seconds
from tests.contract.troubles import RETRY_AFTER_SECONDS, SAID_BEFORE, Trouble

HOUR_MS = 3_600_000
PATIENCE_SECONDS = 60


class ScriptedOllamaSubject(ScriptedSubject):
    """The whole suite: our server can do what Ollama can, and fail as it does."""

    async def answer_to(self, script: Script, **fields: Any) -> Completion:
        """What the adapter makes of a server that follows the script."""
        self.server.scripts["scripted"] = script
        return await complete(self.provider, self.asked(model="scripted", timeout_seconds=20, **fields))


class AimockSubject:
    """aimock speaks the format, tools and scripted faults; it neither counts nor cuts nor embeds as Ollama does."""

    embedding_model = MODELS[0]
    cannot: ClassVar[Mapping[str, str]] = {
        "length": "aimock heeds no num_predict, and ends every answer with stop",
        "usage": "aimock counts no tokens for Ollama",
        "stop": "aimock reads no stop sequences",
        "embeddings": "aimock answers /api/embed in the form of the older /api/embeddings, one vector for all texts",
        Trouble.AWAY: "aimock asks for patience with a 429 alone",
        Trouble.SLOW_FIRST_TOKEN: "aimock sends its headers with the first token",
        Trouble.TRUNCATED: "aimock breaks a stream off, and never ends one early",
        Trouble.BROKEN_JSON: "aimock breaks whole bodies, not lines",
        Trouble.BROKEN_SHAPE: "aimock breaks whole bodies, not lines",
        Trouble.BROKEN_UTF8: "aimock breaks whole bodies, not lines",
        Trouble.ERROR_HALFWAY: "aimock sends no error inside a stream",
    }

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.provider = Ollama(server.url)
        self._control("reset")
        self.dictate(*AIMOCK_FIXTURES)

    @property
    def listed(self) -> list[str]:
        """Whatever it was told to answer as."""
        return [fixture["match"]["model"] for fixture in AIMOCK_FIXTURES]

    def asked(self, **fields: Any) -> ModelRequest:
        """It constrains nothing and calls no tool of itself: documents and calls are dictated to it."""
        request = ModelRequest(**{"model": MODELS[0], "messages": QUESTION, **fields})
        if request.schema is not None:
            self.dictate(saying("documents", document(request.schema, digest=b"aimock")))
            return replace(request, model="documents")
        if request.tools and request.tool_choice != "none":
            model = "caller of " + " and ".join(tool.name for tool in request.tools)
            self.dictate(*_calling(model, request.tools))
            return replace(request, model=model)
        return request

    def endless(self, **fields: Any) -> ModelRequest:
        return self.asked(model=Trouble.STALL, **fields)

    def troubled(self, trouble: Trouble) -> ModelRequest:
        return self.asked(model=trouble, timeout_seconds=deadline_seconds(trouble))

    async def until_asked(self) -> None:
        async with httpx.AsyncClient(base_url=self._server.url, timeout=PATIENCE_SECONDS) as client:
            while not (await client.get("/__aimock/journal")).json():  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.005)

    async def is_idle(self) -> bool:
        return not self._server.has_clients()

    def dictate(self, *fixtures: dict[str, Any]) -> None:
        """Have it answer so from now on."""
        self._control("fixtures", {"fixtures": fixtures})

    def _control(self, what: str, body: Any = None) -> None:
        httpx.post(f"{self._server.url}/__aimock/{what}", json=body, timeout=PATIENCE_SECONDS).raise_for_status()


class OllamaProxySubject(ModelRunnerSubject):
    """`ollama-proxy-plus` before llama.cpp and a real small model. It hands on words, and little else."""

    cannot: ClassVar[Mapping[str, str]] = ModelRunnerSubject.cannot | {
        "length": "ollama-proxy-plus ends every answer with stop",
        "usage": "ollama-proxy-plus counts words, not tokens",
        "tools": "ollama-proxy-plus leaves tool calls out of its streams",
        "images": "ollama-proxy-plus hands images on under a name that llama.cpp does not read",
        "seed": "ollama-proxy-plus drops the seed",
    }

    def __init__(self, model_runner_url: str, server: RunningServer) -> None:
        super().__init__(model_runner_url, Ollama(server.url))
        listed = httpx.get(f"{server.url}/api/tags", timeout=PATIENCE_SECONDS).json()["models"]
        self.listed = [model["name"] for model in listed]  # it was born with many

    def asked(self, **fields: Any) -> ModelRequest:
        # As its super; `_extra_body` is how this proxy is told parameters of the server behind it.
        steady = {"temperature": 0, "extra": {"_extra_body": {"cache_prompt": False}}}
        return ModelRequest(**{"model": "llama/ai/smollm2", "messages": QUESTION, **steady, **fields})

    def endless(self, **fields: Any) -> ModelRequest:
        return self.asked(extra={"_extra_body": {"ignore_eos": True}}, **fields)


def saying(model: str, content: str, **how: Any) -> dict[str, Any]:
    """A fixture of aimock's: what the model of that name says, and how."""
    return {"match": {"model": model}, "response": {"content": content}, "chunkSize": 5, **how}


def _calling(model: str, tools: Sequence[Tool]) -> list[dict[str, Any]]:
    calls = [{"name": tool.name, "arguments": document(tool.parameters, digest=b"aimock")} for tool in tools]
    before, after = ({"model": model, "hasToolResult": has_result} for has_result in (False, True))
    return [
        {"match": before, "response": {"toolCalls": calls}},
        {"match": after, "response": {"content": "As the tool says."}},
    ]


def _refusing(model: str, status: int, message: str, code: str | None = None, **how: Any) -> dict[str, Any]:
    return {
        "match": {"model": model},
        # without a type of our own it says `server_error`, whatever the status
        "response": {"error": {"message": message, "type": "error", "code": code}, "status": status, **how},
    }


_LONGER = f"{SAID_BEFORE} a time two rivers met."
AIMOCK_FIXTURES = [
    saying(MODELS[0], " ".join(PROSE)),
    saying("thoughtful", "So it is.") | {"response": {"content": "So it is.", "reasoning": "Let me think."}},
    saying("malformed", _LONGER, chaos={"malformedRate": 1}),
    saying("vanishing", _LONGER, chaos={"disconnectRate": 1}),
    _refusing(Trouble.RATE_LIMITED, 429, "Slow down", "rate_limit_exceeded", retryAfter=RETRY_AFTER_SECONDS),
    _refusing(Trouble.SERVER_ERROR, 500, "Something went wrong. " * 10_000),
    _refusing(Trouble.OVERLOADED, 529, "Overloaded"),
    _refusing(Trouble.WRONG_KEY, 401, "unauthorized"),
    _refusing(Trouble.NO_SUCH_MODEL, 404, f"model '{Trouble.NO_SUCH_MODEL}' not found"),
    _refusing(Trouble.TOO_LONG, 400, "the input length exceeds the context length"),
    _refusing(Trouble.REFUSED, 400, "The prompt was filtered.", "content_filter"),
    saying(Trouble.NO_RESPONSE, _LONGER, latency=HOUR_MS),
    saying(Trouble.STALL, _LONGER, streamingProfile={"ttft": 0, "tps": 1000 / HOUR_MS}),
    # at a pace, or the reset overtakes what was said
    saying(Trouble.DISCONNECT, _LONGER, truncateAfterChunks=3, streamingProfile={"ttft": 0, "tps": 20}),
]
