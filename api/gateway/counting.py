"""What a server counted, out of the `usage` of its answer."""

from typing import Any

from common.contracts.calls import Usage


def usage_of(counted: Any) -> Usage | None:
    """Tokens as the server counted them; None if it gave nothing that can be read as that."""
    if not isinstance(counted, dict):
        return None
    prompt, completion = _number(counted, "prompt_tokens"), _number(counted, "completion_tokens")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_number(counted, "total_tokens") or prompt + completion,
        cached_prompt_tokens=_number(counted.get("prompt_tokens_details"), "cached_tokens"),
    )


def reasoning_tokens_of(counted: Any) -> int | None:
    """How many of the completion's tokens nobody gets to read; None if the server does not say."""
    details = counted.get("completion_tokens_details") if isinstance(counted, dict) else None
    return _number(details, "reasoning_tokens") if isinstance(details, dict) and "reasoning_tokens" in details else None


def _number(counted: Any, name: str) -> int:
    value = counted.get(name) if isinstance(counted, dict) else None
    return value if isinstance(value, int) else 0
