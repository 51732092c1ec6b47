"""What a provider wants back with a tool call, as the thinking blocks that clients of Anthropic send back untouched."""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

# Before the signature of a block that is none of Claude's, but has something to carry.
GOOGLE = "google:"
THOUGHTS = ("thinking", "redacted_thinking")


def blocks_of(opaque: Any) -> list[Json]:
    """The blocks that go before the call."""
    if not isinstance(opaque, dict):
        return []
    if isinstance(signature := _dict(opaque.get("google")).get("thought_signature"), str):
        return [{"type": "thinking", "thinking": "", "signature": GOOGLE + signature}]
    blocks = _dict(opaque.get("anthropic")).get("thinking_blocks")
    return [block for block in blocks if _dict(block).get("type") in THOUGHTS] if isinstance(blocks, list) else []


def signature_of(opaque: Any) -> str | None:
    """What stands under the thoughts that were told piece by piece; None if there is nothing."""
    signature = _dict(_dict(opaque).get("anthropic")).get("signature")
    return signature if isinstance(signature, str) and signature else None


def opaque_of(blocks: Sequence[Json]) -> Json | None:
    """What the blocks before a call carry; None if nobody signed them."""
    signed = [block for block in blocks if block.get("signature") or block.get("data")]
    for block in signed:
        if str(block.get("signature")).startswith(GOOGLE):
            return {"google": {"thought_signature": block["signature"].removeprefix(GOOGLE)}}
    return {"anthropic": {"thinking_blocks": signed}} if signed else None


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
