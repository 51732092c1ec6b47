"""The peer's HTTP side. Plain `def` routes: Starlette runs them in its threads, for publishing blocks."""

from typing import Any

from celery import chord, group
from celery.result import AsyncResult
from fastapi import FastAPI
from pydantic import BaseModel, Field

from benchmarks.bare_peer import tasks

app = FastAPI(title="bare peer")


class Comparison(BaseModel):
    prompt: str = Field(min_length=1)
    models: list[str] = Field(min_length=1)
    lead_model: str | None = None


@app.post("/compare", status_code=202)
def compare(request: Comparison) -> dict[str, str]:
    header = group(tasks.ask.s(model, request.prompt) for model in request.models)
    result = chord(header, tasks.merge.s(request.lead_model)).apply_async()
    return {"id": result.id}


@app.get("/compare/{comparison_id}")
def show(comparison_id: str) -> dict[str, Any]:
    result = AsyncResult(comparison_id, app=tasks.app)
    return {
        "id": comparison_id,
        "status": result.status,
        "result": result.result if result.successful() else None,
    }
