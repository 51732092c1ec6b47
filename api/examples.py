"""What the documentation shows; a test holds each against its contract."""

from typing import Any

from common.documents import analysis_links, job_links
from common.fleet.documents import operation_links

JOB_ID = "01938c6e-7c1a-7d3e-9a5b-2f4c8d6e1a07"
MODELS = [{"asked": "smollm2", "id": "docker_modelrunner-smollm2"}, {"asked": "mock-a", "id": "mock-a"}]
CREATED_AT = "2026-11-21T05:06:50.115158+00:00"
LINKS = analysis_links(JOB_ID).model_dump()

ACCEPTED: dict[str, Any] = {
    "id": JOB_ID,
    "status": "queued",
    "analysis_type": "comparative",
    "models": MODELS,
    "created_at": CREATED_AT,
    "links": LINKS,
}

SUMMARY: dict[str, Any] = ACCEPTED | {
    "status": "partial",
    "started_at": "2026-11-21T05:06:50.121870+00:00",
    "finished_at": "2026-11-21T05:06:52.870412+00:00",
    "progress": {"done": 2, "total": 2},
}

PAGE: dict[str, Any] = {"data": [SUMMARY], "next_cursor": "AZOMbnwafT6aWy9MjW4aBw"}

ANALYSIS: dict[str, Any] = SUMMARY | {
    "prompt": "Why is the sky blue?",
    "output_format": "text",
    "answers": [
        {
            "model": "docker_modelrunner-smollm2",
            "served_by": "docker_modelrunner-smollm2",
            "provider": "docker_modelrunner",
            "status": "completed",
            "text": "Air scatters blue light more than red.",
            "finish_reason": "stop",
            "usage": {
                "prompt_tokens": 12,
                "completion_tokens": 9,
                "total_tokens": 21,
                "cached_prompt_tokens": 0,
            },
            "cost_usd": 0.0,
            "latency_ms": 812.4,
            "time_to_first_token_ms": 95.1,
            "cold_start_ms": None,
            "attempts": 1,
            "history": [],
            "cached": False,
            "tool_calls": [],
            "error": None,
        },
        {
            "model": "mock-a",
            "served_by": None,
            "provider": None,
            "status": "failed",
            "text": None,
            "finish_reason": None,
            "usage": None,
            "cost_usd": None,
            "latency_ms": None,
            "time_to_first_token_ms": None,
            "cold_start_ms": None,
            "attempts": 3,
            "history": [],
            "cached": False,
            "tool_calls": [],
            "error": {"code": "unavailable", "message": "The model's server is away."},
        },
    ],
    "result": None,
    "text": "Air scatters blue light more than red.",
    "error": None,
    "retry_of": None,
}

JOB: dict[str, Any] = {
    name: SUMMARY[name] for name in ("id", "status", "created_at", "started_at", "finished_at", "progress")
} | {
    "kind": "comparative",
    "result": None,
    "text": "Air scatters blue light more than red.",
    "error": None,
    "retry_of": None,
    "links": job_links(JOB_ID).model_dump(),
}

DEAD_PAGE: dict[str, Any] = {
    "data": [
        {
            "job_id": JOB_ID,
            "call_id": "01938c6e-7c1a-7d3e-9a5b-2f4c8d6e1a08",
            "kind": "comparative",
            "job_status": "partial",
            "model": "docker_modelrunner-smollm2",
            "attempts": 3,
            "silences": 3,
            "died_at": "2026-11-21T05:07:51.402911+00:00",
            "error": {
                "code": "dead_lettered",
                "message": "3 workers fell silent on this call; it will not be tried again.",
            },
        }
    ],
    "next_cursor": None,
}

USAGE: dict[str, Any] = {
    "from": "2026-10-23",
    "to": "2026-11-21",
    "group_by": ["day", "model"],
    "data": [
        {
            "day": "2026-11-21",
            "model": "openai-gpt4o",
            "key": None,
            "key_id": None,
            "calls": 42,
            "failed": 1,
            "cached": 3,
            "prompt_tokens": 50_400,
            "completion_tokens": 8_190,
            "cached_prompt_tokens": 12_800,
            "reasoning_tokens": 2_100,
            "cost_usd": 0.2079,
            "unpriced_calls": 0,
            "latency_ms": {"mean": 1730.2, "p50": 1412.8, "p95": 4105.5},
            "time_to_first_token_ms": {"mean": 420.7, "p50": 388.1, "p95": 910.0},
            "tokens_per_second": 87.3,
        }
    ],
    "totals": {
        "calls": 42,
        "failed": 1,
        "cached": 3,
        "prompt_tokens": 50_400,
        "completion_tokens": 8_190,
        "cached_prompt_tokens": 12_800,
        "reasoning_tokens": 2_100,
        "cost_usd": 0.2079,
        "unpriced_calls": 0,
        "latency_ms": {"mean": 1730.2, "p50": 1412.8, "p95": 4105.5},
        "time_to_first_token_ms": {"mean": 420.7, "p50": 388.1, "p95": 910.0},
        "tokens_per_second": 87.3,
    },
    "truncated": False,
}


OPERATION_ACCEPTED: dict[str, Any] = {
    "operation_id": JOB_ID,
    "model_id": "local-smollm2",
    "state": "queued",
    "links": operation_links(JOB_ID).model_dump(),
}

OPERATION: dict[str, Any] = {
    "operation_id": JOB_ID,
    "kind": "run",
    "model_id": "local-smollm2",
    "status": "running",
    "created_at": CREATED_AT,
    "started_at": "2026-11-21T05:06:50.121870+00:00",
    "finished_at": None,
    "progress": {"phase": "starting", "reason": None, "details": None},
    "result": None,
    "error": None,
    "links": operation_links(JOB_ID).model_dump(),
}

INFERENCE: dict[str, Any] = {
    "model_id": "local-smollm2",
    "response": "Air scatters blue light more than red.",
    "finish_reason": "stop",
    "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21, "cached_prompt_tokens": 0},
    "latency_ms": 812.4,
    "cold_start": True,
    "cold_start_ms": 4180.2,
    "job_id": JOB_ID,
}


def shown(example: dict[str, Any]) -> dict[str, Any]:
    """The example as part of a response's description."""
    return {"content": {"application/json": {"example": example}}}
