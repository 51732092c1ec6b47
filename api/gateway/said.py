"""What a message of chat says, or a piece of one, for those who say it again in other words."""

from typing import Any

Json = dict[str, Any]

# Where models that think put their thoughts, by the servers that have them.
THOUGHTS = ("reasoning_content", "reasoning")


def thoughts_of(said: Json) -> str | None:
    """What it thinks; None if it does not."""
    return next((said[name] for name in THOUGHTS if isinstance(said.get(name), str) and said[name]), None)


def words_of(said: Json) -> str | None:
    """What it says; None if nothing."""
    content = said.get("content")
    if isinstance(content, list):  # parts, as Mistral's thinking models have them
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) and content else None


def text_of(said: Json) -> str | None:
    """What it says, or with what words it declines to; None if neither."""
    refusal = said.get("refusal")
    return words_of(said) or (refusal if isinstance(refusal, str) and refusal else None)
