"""What watching has in common, whatever is watched."""

from typing import Any

from fastapi import Request, Response

from api.auth import Caller
from api.events.stream import MEDIA_TYPE, EventResponse
from api.openapi import Responses, header_parameter
from api.runtime import Runtime
from common.contracts.jobs import TERMINAL

EXAMPLE = """\
retry: 1000
id: 1795238097413-0
event: call.delta
data: {"call":"01938c6e-7c1a-7d3e-9a5b-2f4c8d6e1a08","model":"mock-a","text":"Light scatters"}

id: 1795238099127-0
event: job.finished
data: {"id":"01938c6e-7c1a-7d3e-9a5b-2f4c8d6e1a07","status":"completed"}

"""

EVENT_SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Send it back as `Last-Event-ID` to resume."},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "JSON."},
    },
}
EVENT_RESPONSES: Responses = {
    200: {
        "description": (
            "`job.status {status, progress}`, `call.waiting {call, model, asked, state, reason, progress}` (its model "
            "is being started), `call.started {call, model, asked, attempt}`, `call.delta {call, model, text}`, "
            "`call.reset {call, attempt}` (forget this call's deltas), `call.finished` and `call.failed` "
            "`{call, model, answer}`, and last `job.finished` with the whole document. `model` is the one that was "
            "named, `asked` the one that is asked in its place, or itself. A comment every 15 s."
        ),
        "content": {MEDIA_TYPE: {"itemSchema": EVENT_SCHEMA, "example": EXAMPLE}},
    },
    204: {"description": "The last event of this job was `Last-Event-ID`: do not come back."},
}

OPERATION_EVENT_RESPONSES: Responses = {
    200: {
        "description": "`job.status {status, progress: {phase, reason, …}}`, and last `job.finished` with the "
        "operation. A comment every 15 s.",
        "content": {MEDIA_TYPE: {"itemSchema": EVENT_SCHEMA}},
    },
    204: {"description": "The last event of this operation was `Last-Event-ID`: do not come back."},
}

EVENTS_EXTRA: dict[str, Any] = {
    "parameters": [
        header_parameter(
            "Last-Event-ID",
            "Resume after this event. One that is none of ours is ignored.",
            {"type": "string"},
            "1795238097413-0",
        )
    ]
}


async def watch(job_id: str, request: Request, runtime: Runtime, caller: Caller) -> Response:
    """The events of a job that the caller sees.

    Raises:
        JobNotFound: there is none.
    """
    status, _ = await runtime.jobs.mark(job_id, caller)
    last_event_id = request.headers.get("last-event-id")
    return EventResponse(runtime.hub, job_id, last_event_id, has_ended=status in TERMINAL)
