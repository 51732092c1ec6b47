"""How an Ollama server fails, in the ways that no other has."""

import json
from typing import Any

import pytest

from common.errors import (
    BadUpstream,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Timeout,
    Unavailable,
    Unsupported,
    UpstreamModelMissing,
    UpstreamRejected,
)
from common.providers.complete import complete
from common.providers.http import Proxies
from common.providers.ollama import Ollama
from common.providers.protocol import EmbeddingRequest
from tests.contract.exchange import Exchange
from tests.contract.scripted_ollama import refusing
from tests.contract.scripted_server import Script, sending
from tests.contract.subjects import QUESTION, deadline_seconds
from tests.contract.subjects_ollama import AimockSubject, OllamaProxySubject, ScriptedOllamaSubject
from tests.contract.troubles import Trouble


@pytest.mark.parametrize("trouble", [Trouble.RATE_LIMITED, Trouble.SERVER_ERROR, Trouble.AWAY, Trouble.DISCONNECT])
async def test_the_adapter_never_asks_twice(ollama: ScriptedOllamaSubject, trouble: Trouble) -> None:
    with pytest.raises(ProviderError):
        await complete(ollama.provider, ollama.troubled(trouble))
    assert len(ollama.server.exchanges) == 1


@pytest.mark.parametrize("reason", ["load", "unload"])
async def test_a_model_that_was_only_loaded_has_not_answered(ollama: ScriptedOllamaSubject, reason: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.finish(reason)

    with pytest.raises(BadUpstream, match=repr(reason)):
        await ollama.answer_to(script)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("llama runner process no longer running: CUDA error: out of memory", Unavailable),
        ("the input length exceeds the context length", ContextTooLong),
        ({"message": "Slow down", "type": "rate_limit_error"}, RateLimited),
    ],
)
async def test_an_error_in_the_middle_of_a_stream_says_what_it_is(
    ollama: ScriptedOllamaSubject, said: Any, expected: type[ProviderError]
) -> None:
    script = sending(b'{"message": {"content": "Once"}, "done": false}\n', json.dumps({"error": said}).encode())
    with pytest.raises(expected, match="ollama broke off: "):
        await ollama.answer_to(script)


@pytest.mark.parametrize(
    ("script", "expected", "advice"),
    [
        (refusing(404, "model 'scripted' not found"), UpstreamModelMissing, "`ollama pull scripted`"),
        (refusing(400, '"scripted" does not support tools'), Unsupported, "does not support tools"),
        (refusing(400, "invalid options"), UpstreamRejected, "invalid options"),
        (refusing(500, "model requires more system memory (5.6 GiB)"), Unavailable, "5.6 GiB"),
    ],
)
async def test_a_refusal_comes_with_the_server_s_own_words(
    ollama: ScriptedOllamaSubject, script: Script, expected: type[ProviderError], advice: str
) -> None:
    with pytest.raises(expected, match=advice.replace("(", r"\(").replace(")", r"\)")):
        await ollama.answer_to(script)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"embeddings": [[1.0]]}, "1 vectors for 2 texts"),
        ({"embedding": [1.0]}, "no form that we know"),
        ({"embeddings": [["one"], ["two"]]}, "no form that we know"),
        ("<html>", "no JSON"),
    ],
)
async def test_vectors_of_another_form_are_no_vectors(ollama: ScriptedOllamaSubject, answer: Any, fault: str) -> None:
    ollama.server.scripts["scripted"] = lambda exchange: exchange.answer(200, answer)
    with pytest.raises(BadUpstream, match=fault):
        await ollama.provider.embed(EmbeddingRequest("scripted", ("one", "two")))


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (Trouble.NO_RESPONSE, Timeout),
        (Trouble.TOO_LONG, ContextTooLong),
        (Trouble.NO_SUCH_MODEL, UpstreamModelMissing),
    ],
)
async def test_embedding_has_the_errors_of_answering(
    ollama: ScriptedOllamaSubject, trouble: Trouble, expected: type[ProviderError]
) -> None:
    with pytest.raises(expected):
        await ollama.provider.embed(EmbeddingRequest(trouble, ("one",), timeout_seconds=deadline_seconds(trouble)))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (refusing(503, "server busy"), Unavailable),
        (refusing(404, "no such page"), UpstreamRejected),
        (lambda exchange: exchange.answer(200, {"data": []}), BadUpstream),
        (lambda exchange: exchange.answer(200, "<html>"), BadUpstream),
    ],
)
async def test_a_list_of_another_form_is_no_list(
    ollama: ScriptedOllamaSubject, script: Script, expected: type[ProviderError]
) -> None:
    ollama.server.scripts["/api/tags"] = script
    with pytest.raises(expected):
        await ollama.provider.list_models()


async def test_a_server_behind_a_proxy_is_asked_through_it(ollama: ScriptedOllamaSubject) -> None:
    provider = Ollama("http://ollama.example/behind/", proxies=Proxies(http=ollama.server.url))
    with pytest.raises(UpstreamRejected, match="OLLAMA_BASE_URL"):  # our server knows no such path
        await complete(provider, ollama.asked())
    assert ollama.server.exchanges[0].path == "http://ollama.example/behind/api/chat"
    await provider.close()


async def test_a_password_of_the_url_is_sent_and_not_shown(ollama: ScriptedOllamaSubject) -> None:
    provider = Ollama(ollama.server.url.replace("//", "//someone:pass%20word@"))
    ollama.server.scripts["scripted"] = refusing(401, "someone:pass word is not welcome")
    with pytest.raises(ProviderError, match=r"someone:\*\*\* is not welcome"):
        await complete(provider, ollama.asked(model="scripted"))
    assert ollama.server.exchanges[0].headers["authorization"].startswith("Basic ")
    await provider.close()


@pytest.mark.parametrize("model", ["malformed", "vanishing"])
async def test_aimock_s_chaos_is_no_answer(ollama_aimock: AimockSubject, model: str) -> None:
    with pytest.raises(BadUpstream):
        await complete(ollama_aimock.provider, ollama_aimock.asked(model=model))


async def test_a_real_model_says_when_a_prompt_is_longer_than_its_context(ollama_real: OllamaProxySubject) -> None:
    endless = QUESTION[0].model_copy(update={"content": "river " * 10_000})
    with pytest.raises(ContextTooLong, match="context size"):
        await complete(ollama_real.provider, ollama_real.asked(messages=(endless,), timeout_seconds=30))
