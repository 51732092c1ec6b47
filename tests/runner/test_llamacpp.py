"""The whole program with llama.cpp and a real small model."""

import json
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runner.contracts import Chat
from runner.engines import llamacpp
from runner.settings import Settings
from tests.integration.embedded.watching import until
from tests.runner.processes import Program, program, smollm2

STORY = [{"role": "user", "content": "Tell me a long story."}]
# llama.cpp's own word: the answer is as long as it is asked to be.
LONG = {"messages": STORY, "max_tokens": 300, "ignore_eos": True}


@pytest.fixture(scope="module")
def it() -> Iterator[Program]:
    with program(model_path=smollm2(), slots=2, queue=1) as started:
        started.until_ready()
        yield started


def test_a_prompt_is_answered_and_counted(it: Program) -> None:
    # Not what the answer says: at four bits this model does not know the capital of France.
    asked = {"prompt": "What is the capital of France?", "max_tokens": 24, "temperature": 0}
    answer, again = (it.ask("/inference", asked) for _ in range(2))
    assert answer["response"] == again["response"] != ""
    assert answer["usage"]["prompt_tokens"] > answer["usage"]["completion_tokens"] > 0


def test_an_answer_that_reaches_its_limit_says_length(it: Program) -> None:
    answer = it.ask("/v1/chat/completions", {"messages": STORY, "max_completion_tokens": 4})
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["model"] == "local-smollm2"


def test_an_answer_ends_before_its_stop(it: Program) -> None:
    asked = {"prompt": "Count: 1, 2, 3, 4, 5, 6. Repeat.", "max_tokens": 40, "temperature": 0, "stop": ["3"]}
    answer = it.ask("/inference", asked)
    assert "3" not in answer["response"]
    assert answer["finish_reason"] == "stop"


def test_the_same_seed_gives_the_same_answer(it: Program) -> None:
    asked = {"prompt": "Invent a name.", "max_tokens": 12, "temperature": 1.5, "seed": 7}
    assert len({it.ask("/inference", asked)["response"] for _ in range(3)}) == 1


def test_a_schema_is_kept(it: Program) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 99}}, "required": ["age"]}
    answer = it.ask(
        "/v1/chat/completions",
        {
            "messages": [{"role": "user", "content": "How old is Tom, who is seven?"}],
            "max_tokens": 40,
            "response_format": {"type": "json_schema", "json_schema": {"name": "age", "schema": schema}},
        },
    )
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["age"], int)


def test_a_prompt_longer_than_the_window_is_refused_by_name(it: Program) -> None:
    response = it.client.post("/inference", json={"prompt": "word " * 600})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_too_long")


def test_texts_of_one_meaning_lie_closer_than_others(it: Program) -> None:
    texts = ["The cat sleeps on the sofa.", "A kitten is napping on the couch.", "Interest rates rose in March."]
    vectors = [item["embedding"] for item in it.ask("/v1/embeddings", {"input": texts})["data"]]
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-4) for vector in vectors)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(vectors[0], vectors[1]) > likeness(vectors[0], vectors[2])


def test_health_counts_the_memory_of_both_processes(it: Program) -> None:
    health = it.client.get("/health").json()
    assert health["memory_bytes"] > smollm2().stat().st_size
    assert health["gpu_memory_bytes"] is None
    assert 0 < health["load_seconds"] < 60


async def test_sixty_calls_one_right_after_the_other_are_all_answered() -> None:
    # over connections that are kept, llama.cpp loses about one in twelve
    engine = await llamacpp.load(Settings(model_id="local-smollm2", model_path=str(smollm2())))
    chat = Chat(model="local-smollm2", messages=[{"role": "user", "content": "Hello."}], max_tokens=1)
    try:
        for _ in range(60):
            assert [piece async for piece in engine.generate(chat)][-1].usage
    finally:
        await engine.close()


def test_who_leaves_a_stream_frees_the_slot(it: Program) -> None:
    url = it.client.base_url
    asking = HTTPConnection(url.host, url.port or 0, timeout=60)
    with standing_still(child_of(it.process.pid)):
        asking.request("POST", "/v1/chat/completions", json.dumps(LONG | {"stream": True}))
        until(lambda: it.client.get("/health").json()["in_flight"] == 1, "its beginning")
    assert asking.getresponse().readline().startswith(b"data: {")
    with standing_still(child_of(it.process.pid)):  # else the answer would end by itself
        asking.close()
        until(lambda: it.client.get("/health").json()["in_flight"] == 0, "its end")
    assert it.ask("/inference", {"prompt": "hi", "max_tokens": 1})["response"] is not None


def test_sigterm_finishes_the_answer_in_flight_and_exits_with_0() -> None:
    with program(model_path=smollm2()) as it:
        it.until_ready()
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(it.ask("/v1/chat/completions", LONG)))
        with standing_still(child_of(it.process.pid)):
            asking.start()
            until(lambda: it.client.get("/health").json()["in_flight"] == 1, "its beginning")
            it.process.send_signal(signal.SIGTERM)
            until(lambda: it.client.get("/health").json()["status"] == "draining", "the drain")
            assert it.client.get("/health").json()["in_flight"] == 1
            refused = it.client.post("/inference", json={"prompt": "hi"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        asking.join(60)
        assert answers[0]["usage"]["completion_tokens"] == LONG["max_tokens"]
        assert it.end() == (0, {})


def test_sigterm_while_it_loads_ends_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.gguf")  # nobody writes into it: it is read for ever
    with program(model_path=tmp_path) as it:
        while True:
            try:
                status = it.client.get("/health").json()["status"]
                break
            except httpx2.ConnectError:
                continue
        assert status == "loading"
        it.process.send_signal(signal.SIGTERM)
        assert it.end() == (0, {})


def test_a_killed_llama_cpp_ends_the_program_with_its_reason() -> None:
    with program(model_path=smollm2()) as it:
        it.until_ready()
        os.kill(child_of(it.process.pid), signal.SIGKILL)
        code, said = it.end()
    assert (code, said["fatal"]) == (7, "engine_failed")
    assert "SIGKILL" in said["message"]


@pytest.mark.parametrize(
    ("settings", "code", "name", "words"),
    [
        ({"model_path": "/nowhere/model.gguf"}, 3, "model_missing", "/nowhere/model.gguf"),
        ({"model_path": "{tmp}"}, 3, "model_missing", "no GGUF file"),
        ({"model_path": "{smollm2}", "dtype": "float16"}, 5, "bad_dtype", "ULTRA_DTYPE"),
        ({"model_path": "{broken}"}, 6, "load_failed", "failed to read"),
        ({"model_path": "{smollm2}", "slots": "many"}, 6, "load_failed", "ULTRA_SLOTS"),
        ({"model_path": "{smollm2}", "engine": "vllm"}, 6, "load_failed", "ULTRA_ENGINE"),
    ],
)
def test_what_is_fatal_has_a_code_and_one_line_of_json(
    settings: dict[str, str], code: int, name: str, words: str, tmp_path: Path
) -> None:
    broken = tmp_path / "empty" / ".." / "broken.bin"
    (tmp_path / "empty").mkdir()
    broken.write_bytes(b"GGUF" + bytes(100))
    places = {"smollm2": smollm2(), "tmp": tmp_path / "empty", "broken": broken}
    given = {key: value.format(**places) for key, value in settings.items()}
    with program(**given) as it:
        ended, said = it.end()
    assert (ended, said.get("fatal")) == (code, name)
    assert words in said["message"]


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """A process that gets no further meanwhile, and nothing it was asked for to its end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
