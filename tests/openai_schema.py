"""OpenAI's own JSON Schemas, for what the gateway sends: `../shared/openai_schema.json`, beside the checkout.

They are read there rather than copied: they come without a licence that would let us pass them on.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

PATH = Path(__file__).resolve().parents[2] / "shared" / "openai_schema.json"


@cache
def _validator(name: str) -> jsonschema_rs.Draft201909Validator:
    definitions = orjson.loads(PATH.read_bytes())["$defs"]
    reached: dict[str, Any] = {}
    _reach(name, definitions, reached)  # others of the file are no schemas of this draft
    return jsonschema_rs.Draft201909Validator({"$ref": f"#/$defs/{name}", "$defs": reached})


def _reach(name: str, definitions: dict[str, Any], reached: dict[str, Any]) -> None:
    if name in reached:
        return
    reached[name] = definitions[name]
    for reference in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(definitions[name])):
        _reach(reference, definitions, reached)


def check(name: str, document: Any) -> None:
    """Fail unless the document is what OpenAI's schema of that name asks for."""
    if not PATH.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{PATH} is missing")
        pytest.skip(f"{PATH} is missing: conformance to OpenAI's schemas is not checked")
    faults = [
        f"{'/'.join(map(str, fault.instance_path))}: {fault.message}"
        for fault in _validator(name).iter_errors(document)
    ]
    assert not faults, faults


def check_chunks(chunks: list[dict[str, Any]]) -> None:
    """Fail unless these are the chunks of one chat, of one kind, each with a `finish_reason` key."""
    assert chunks
    for chunk in chunks:
        check("CreateChatCompletionStreamResponse", chunk)
        for choice in chunk["choices"]:
            assert "finish_reason" in choice
            assert choice.get("logprobs", "missing") is None or choice["logprobs"]
            assert choice["delta"].get("tool_calls", ()) is not None
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1


def check_chat(answer: dict[str, Any]) -> None:
    """Fail unless this is a whole chat answer."""
    check("CreateChatCompletionResponse", answer)
    for choice in answer["choices"]:
        assert "logprobs" in choice
        assert "refusal" in choice["message"]
        assert choice["message"].get("tool_calls", ()) is not None
