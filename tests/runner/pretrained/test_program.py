"""The whole program with transformers and a model made for the test."""

import json
import shutil
import signal
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.runner.processes import Program, program

STORY = {"messages": [{"role": "user", "content": "Tell me a story."}], "temperature": 0}


@pytest.fixture(scope="module")
def it(directory: Path) -> Iterator[Program]:
    with program(engine="transformers", model_path=directory, context=200, slots=4) as started:
        started.until_ready()
        yield started


def test_a_chat_is_the_models_own(it: Program, model: Any, tokenizer: Any) -> None:
    prompt = tokenizer.apply_chat_template(STORY["messages"], add_generation_prompt=True, return_tensors="pt")
    expected = model.generate(**prompt, max_new_tokens=30, do_sample=False)[0][prompt["input_ids"].shape[1] :]
    answer = it.ask("/v1/chat/completions", STORY | {"max_tokens": 30})
    assert answer["choices"][0]["message"]["content"] == tokenizer.decode(expected, skip_special_tokens=True)
    assert answer["usage"] == {
        "prompt_tokens": prompt["input_ids"].shape[1],
        "completion_tokens": len(expected),
        "total_tokens": prompt["input_ids"].shape[1] + len(expected),
    }


def test_many_at_once_are_answered_as_one_by_one(it: Program) -> None:
    asked = [{"prompt": "x" * number, "max_tokens": 5 * number, "temperature": 0} for number in range(1, 9)]
    one_by_one = [it.ask("/inference", one) for one in asked]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda one: it.ask("/inference", one), asked))
    for answer, other in zip(one_by_one, at_once, strict=True):
        assert (answer["response"], answer["usage"]) == (other["response"], other["usage"])


def test_a_stream_is_the_answer_in_pieces(it: Program) -> None:
    whole = it.ask("/v1/chat/completions", STORY | {"max_tokens": 20})["choices"][0]["message"]["content"]
    response = it.client.post("/v1/chat/completions", json=STORY | {"max_tokens": 20, "stream": True})
    chunks = [json.loads(line[6:]) for line in response.text.split("\n\n") if line.startswith("data: {")]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole
    assert chunks[-1]["choices"][0]["finish_reason"] in {"length", "stop"}
    assert len(chunks) > 5


def test_the_context_window_bounds_prompt_and_answer(it: Program) -> None:
    refused = it.client.post("/inference", json={"prompt": "x" * 300})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_too_long")
    answer = it.ask("/inference", {"prompt": "x" * 150, "temperature": 0})
    assert answer["usage"]["total_tokens"] <= 200


def test_what_it_cannot_do_is_said(it: Program) -> None:
    for more in ({"tools": [{"type": "function"}]}, {"response_format": {"type": "json_object"}}, {"logprobs": True}):
        refused = it.client.post("/v1/chat/completions", json=STORY | more)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, next(iter(more)))
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    assert it.client.post("/v1/chat/completions", json={"messages": image}).status_code == 400
    harmless = {"tools": [], "response_format": {"type": "text"}, "user": "u", "logprobs": False, "max_tokens": 1}
    assert it.client.post("/v1/chat/completions", json=STORY | harmless).status_code == 200


def test_texts_are_embedded_while_others_are_answered(it: Program) -> None:
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(it.ask, "/inference", {"prompt": "x", "max_tokens": 100})
        embedded = it.ask("/v1/embeddings", {"input": ["one", "another", "one"] * 5})
        assert "response" in answer.result()
    vectors = [item["embedding"] for item in embedded["data"]]
    assert len(vectors) == 15
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)
    assert it.client.post("/v1/embeddings", json={"input": "x" * 300}).status_code == 400


def test_sigterm_ends_it_with_0(directory: Path) -> None:
    with program(engine="transformers", model_path=directory) as it:
        it.until_ready()
        it.process.send_signal(signal.SIGTERM)
        assert it.end() == (0, {})


def spoiled(directory: Path, tmp_path: Path, how: str) -> Path:
    """A copy of the model with one thing wrong."""
    copy = tmp_path / "model"
    shutil.copytree(directory, copy)
    weights = copy / "model.safetensors"
    match how:
        case "no weights":
            weights.unlink()
        case "pickled":
            weights.rename(copy / "pytorch_model.bin")
        case "cut off":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "too large":
            header = json.dumps({"w": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 1]}}).encode()
            weights.write_bytes(struct.pack("<Q", len(header)) + header)
        case "own code":
            config = json.loads((copy / "config.json").read_text())
            config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
            (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("no weights", 3, "safetensors"),
        ("pickled", 3, "pickled weights are not read"),
        ("too large", 4, "GiB"),
        ("cut off", 6, "pull it again"),
        ("own code", 6, "trust_remote_code"),
    ],
)
def test_a_spoiled_model_ends_with_its_own_code(
    directory: Path, tmp_path: Path, how: str, code: int, words: str
) -> None:
    with program(engine="transformers", model_path=spoiled(directory, tmp_path, how)) as it:
        ended, said = it.end()
    assert ended == code
    assert words in said["message"]


def test_a_dtype_that_is_none_ends_with_its_own_code(directory: Path) -> None:
    with program(engine="transformers", model_path=directory, dtype="int3") as it:
        ended, said = it.end()
    assert (ended, said["fatal"]) == (5, "bad_dtype")
