"""The paths of an instance, over HTTP, with an engine that does what the test says."""

import asyncio
import base64
import json
import struct
from typing import Any

from runner.contracts import Piece, Usage
from runner.faults import EngineBroken, ModelMissing, NoMemory, Unsupported
from runner.settings import Settings
from tests.openai_schema import check
from tests.runner.scripted_engine import SAID, ScriptedEngine
from tests.runner.serving import Served, ready, served, until_ready

# Only a failure waits this long.
PATIENCE_SECONDS = 60
ASK = {"model": "local-small", "messages": [{"role": "user", "content": "hi"}]}


def events(body: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def test_it_is_ready_only_after_a_generated_token() -> None:
    go = asyncio.Event()
    engine = ScriptedEngine(go, *SAID)

    async def load(_: Settings) -> ScriptedEngine:
        return engine

    async with served(load) as it:
        await engine.has_begun.wait()
        before = await it.client.get("/ready")
        assert (before.status_code, before.json()["status"]) == (503, "loading")
        refused = await it.client.post("/inference", json={"prompt": "hi"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "loading")
        assert refused.headers["retry-after"]
        go.set()
        await until_ready(it.client)
        health = (await it.client.get("/health")).json()
        assert health["status"] == "ready"
        assert health["load_seconds"] > 0
        assert health["idle_seconds"] >= 0


async def test_a_prompt_is_answered() -> None:
    engine = ScriptedEngine()
    async with ready(engine) as it:
        answer = (
            await it.client.post("/inference", json={"prompt": "hi", "system": "Be kind.", "max_tokens": 5})
        ).json()
    assert answer["response"] == "Hello there"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert answer["latency_ms"] > 0
    assert [message.role for message in engine.asked[-1].messages] == ["system", "user"]
    assert engine.asked[-1].most_tokens == 5


async def test_a_chat_is_answered_in_openais_shape() -> None:
    async with ready(ScriptedEngine()) as it:
        answer = (await it.client.post("/v1/chat/completions", json=ASK)).json()
    check("CreateChatCompletionResponse", answer)
    assert answer["choices"][0]["message"]["content"] == "Hello there"
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_a_streamed_chat_has_openais_chunks_and_its_usage_last() -> None:
    async with ready(ScriptedEngine()) as it:
        asked = ASK | {"stream": True, "stream_options": {"include_usage": True}}
        response = await it.client.post("/v1/chat/completions", json=asked)
    *chunks, done = events(response.text)
    assert done == "[DONE]"
    for chunk in chunks:
        check("CreateChatCompletionStreamResponse", chunk)
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:-1]] == ["", "Hello", " there", None]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 5


async def test_a_stream_without_the_option_has_no_usage() -> None:
    async with ready(ScriptedEngine()) as it:
        response = await it.client.post("/v1/chat/completions", json=ASK | {"stream": True})
    assert all("usage" not in chunk for chunk in events(response.text)[:-1])


async def test_tool_calls_come_together_from_their_pieces() -> None:
    def called(**function: str) -> Piece:
        return Piece({"tool_calls": [{"index": 0, "id": function.pop("id", None), "function": function}]})

    script = (called(id="c1", name="add", arguments="{"), called(arguments="}"), Piece(finish_reason="tool_calls"))
    async with ready(ScriptedEngine(*script, Piece(usage=Usage(1, 2)))) as it:
        answer = (await it.client.post("/v1/chat/completions", json=ASK)).json()
    call = answer["choices"][0]["message"]["tool_calls"][0]
    assert (call["id"], call["function"]) == ("c1", {"name": "add", "arguments": "{}"})
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_fault_before_the_first_token_is_a_status_and_after_it_the_last_event() -> None:
    engine = ScriptedEngine()
    async with ready(engine) as it:
        engine.script = (Unsupported("No tools here.", parameter="tools"),)
        early = await it.client.post("/v1/chat/completions", json=ASK | {"stream": True})
        engine.script = (SAID[0], EngineBroken("It broke."))
        late = await it.client.post("/v1/chat/completions", json=ASK | {"stream": True})
        engine.script = (SAID[0],)
        unfinished = await it.client.post("/v1/chat/completions", json=ASK)
    assert (early.status_code, early.json()["error"]["param"]) == (400, "tools")
    assert events(late.text)[-1]["error"]["code"] == "engine_failed"
    assert unfinished.status_code == 500


async def test_another_models_call_is_refused() -> None:
    async with ready(ScriptedEngine()) as it:
        response = await it.client.post("/v1/chat/completions", json=ASK | {"model": "local-other"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


async def test_bad_bodies_are_refused_in_the_envelope() -> None:
    async with ready(ScriptedEngine(), max_body_bytes=2048) as it:
        wrong = await it.client.post("/v1/chat/completions", json=ASK | {"temperature": 9})
        broken = await it.client.post("/v1/chat/completions", content=b"{")
        large = await it.client.post("/inference", json={"prompt": "x" * 4096})
        unknown = await it.client.get("/v1/nothing")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "temperature")
    assert broken.status_code == 400
    assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_url")


async def test_embeddings_come_as_numbers_or_as_base64() -> None:
    async with ready(ScriptedEngine()) as it:
        plain = (await it.client.post("/v1/embeddings", json={"model": "local-small", "input": ["a", "b"]})).json()
        packed = (await it.client.post("/v1/embeddings", json={"input": "a", "encoding_format": "base64"})).json()
    check("CreateEmbeddingResponse", plain)
    assert [item["embedding"] for item in plain["data"]] == [[1.0, 0.0]] * 2
    assert struct.unpack("<2f", base64.b64decode(packed["data"][0]["embedding"])) == (1.0, 0.0)


async def in_flight(it: Served, count: int, waiting: int = 0) -> None:
    """Return once `/health` counts so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            health = (await it.client.get("/health")).json()
            if (health["in_flight"], health["waiting"]) == (count, waiting):
                return


async def test_past_the_slots_calls_wait_and_past_the_line_they_are_refused() -> None:
    engine = ScriptedEngine()
    async with ready(engine, slots=1, queue=1) as it:
        go = asyncio.Event()
        engine.script = (go, *SAID)
        first = asyncio.create_task(it.client.post("/inference", json={"prompt": "1"}))
        await in_flight(it, 1)
        second = asyncio.create_task(it.client.post("/inference", json={"prompt": "2"}))
        await in_flight(it, 1, waiting=1)
        third = await it.client.post("/inference", json={"prompt": "3"})
        assert (third.status_code, third.json()["error"]["code"]) == (503, "busy")
        assert third.headers["retry-after"] == "1"
        assert (await it.client.get("/health")).json()["idle_seconds"] is None
        go.set()
        assert {(await first).status_code, (await second).status_code} == {200}


async def test_who_leaves_before_the_first_token_stops_the_generation() -> None:
    engine = ScriptedEngine()
    async with ready(engine) as it:
        engine.script = (asyncio.Event(),)
        asking = asyncio.create_task(it.client.post("/inference", json={"prompt": "1"}))
        await in_flight(it, 1)
        asking.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await engine.was_stopped.wait()
        await in_flight(it, 0)
        metrics = (await it.client.get("/metrics")).text
    assert 'ultra_runner_calls_total{path="/inference",status="499"} 1.0' in metrics


async def test_who_leaves_in_the_middle_of_a_stream_stops_the_generation() -> None:
    engine = ScriptedEngine()
    async with ready(engine) as it:
        engine.script = (SAID[0], asyncio.Event())
        async with it.client.stream("POST", "/v1/chat/completions", json=ASK | {"stream": True}) as response:
            async for line in response.aiter_lines():
                if "Hello" in line:
                    break
        async with asyncio.timeout(PATIENCE_SECONDS):
            await engine.was_stopped.wait()


async def test_an_answer_past_the_deadline_is_given_up() -> None:
    engine = ScriptedEngine()
    async with ready(engine, deadline_seconds=0.05) as it:
        engine.script = (asyncio.Event(),)
        response = await it.client.post("/inference", json={"prompt": "1"})
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
        assert engine.was_stopped.is_set()


async def test_a_drain_finishes_what_is_in_flight_and_refuses_the_rest_unbegun() -> None:
    engine = ScriptedEngine()
    async with ready(engine, slots=1) as it:
        go = asyncio.Event()
        engine.script = (go, *SAID)
        running = asyncio.create_task(it.client.post("/inference", json={"prompt": "1"}))
        await in_flight(it, 1)
        waiting = asyncio.create_task(it.client.post("/inference", json={"prompt": "2"}))
        await in_flight(it, 1, waiting=1)
        it.instance.drain()
        refused = [await waiting, await it.client.post("/inference", json={"prompt": "3"})]
        assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [(503, "draining")] * 2
        assert (await it.client.get("/health")).json()["status"] == "draining"
        assert (await it.client.get("/ready")).status_code == 503
        assert not it.exit_code.done()
        go.set()
        assert (await running).status_code == 200
        assert await it.exit_code == 0
        assert engine.is_closed
        assert len(engine.asked) == 2  # the probe and the one that ran


async def test_a_model_that_cannot_be_loaded_ends_with_the_faults_code() -> None:
    async def load(_: Settings) -> ScriptedEngine:
        raise ModelMissing

    async with served(load) as it:
        assert await it.exit_code == 3
        health = await it.client.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["code"]) == (503, "failed", "model_missing")


async def test_a_model_that_loads_and_cannot_generate_has_failed() -> None:
    async def load(_: Settings) -> ScriptedEngine:
        return ScriptedEngine(EngineBroken("No numbers."))

    async with served(load) as it:
        assert await it.exit_code == 6
        assert it.instance.error is not None
        assert "No numbers." in it.instance.error.message


async def test_a_model_that_loads_and_leaves_no_memory_to_generate_with_says_so() -> None:
    async def load(_: Settings) -> ScriptedEngine:
        return ScriptedEngine(NoMemory())

    async with served(load) as it:
        assert await it.exit_code == 4
        assert it.instance.error is not None
        assert it.instance.error.code == "out_of_memory"


async def test_an_engine_that_breaks_while_it_serves_ends_the_process() -> None:
    engine = ScriptedEngine()
    async with ready(engine) as it:
        engine.break_down("The GPU fell off.")
        assert await it.exit_code == 7
        assert (await it.client.get("/health")).json()["error"] == "The GPU fell off."


async def test_metrics_count_calls_and_tokens() -> None:
    async with ready(ScriptedEngine()) as it:
        await it.client.post("/inference", json={"prompt": "hi"})
        text = (await it.client.get("/metrics")).text
    assert 'ultra_runner_calls_total{path="/inference",status="200"} 1.0' in text
    assert 'ultra_runner_tokens_total{kind="completion"} 2.0' in text
    assert "ultra_runner_ready 1.0" in text
