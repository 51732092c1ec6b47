"""One prompt for one model."""

from common.contracts.analyses import Analysis
from common.contracts.jobs import Outcome
from worker.workflows.asking import ask_each
from worker.workflows.registry import Recipe, workflow


@workflow("inference")
def infer(request: Analysis) -> Recipe:
    """Ask the model, and say what it said."""
    [answer] = yield ask_each(request)
    if not answer.is_ok:
        return Outcome("failed", error=answer.error)
    result = {
        "model_id": answer.served_by or answer.model,
        "response": answer.text or "",
        "finish_reason": answer.finish_reason,
        "usage": answer.usage.model_dump() if answer.usage else None,
        "latency_ms": answer.latency_ms,
        "cold_start": answer.cold_start_ms is not None,
        "cold_start_ms": answer.cold_start_ms,
    }
    return Outcome("completed", result=result, text=answer.text)
