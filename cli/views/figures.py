"""Figures as people read them."""

from cli.printable import printable
from common.contracts.calls import Answer, Usage


def duration(milliseconds: float | None) -> str:
    """`840 ms`, `3.2 s`, `2 min 5 s`; a dash where nothing was measured."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:  # noqa: PLR2004
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def tokens(usage: Usage | None) -> str:
    """`31 → 128`: the prompt's and the answer's."""
    return f"{usage.prompt_tokens} → {usage.completion_tokens}" if usage else "-"


def cost(answer: Answer) -> str:
    """Dollars; a dash where no price is known, which is not the same as nothing."""
    return f"${answer.cost_usd:.4f}" if answer.cost_usd is not None else "-"


def outcome(answer: Answer) -> str:
    """How a call ended, in a few words."""
    if answer.error is not None:
        return f"{answer.status}: {printable(answer.error.message)}"
    if not answer.is_ok:
        return answer.status
    said = f"{answer.usage.completion_tokens} tokens, " if answer.usage else ""
    return f"{said}{duration(answer.latency_ms)}" + (" (cut off)" if answer.finish_reason == "length" else "")
