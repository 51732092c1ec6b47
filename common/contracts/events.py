"""What a watcher of a job sees.

Each event is one entry of the job's Redis stream; the entry's id is the SSE id.

| name           | data                                             |
| -------------- | ------------------------------------------------ |
| `job.status`   | `{status, progress}`                             |
| `call.waiting` | `{call, model, asked, state, reason, progress}`: its model is being started |
| `call.started` | `{call, model, asked, attempt}`                  |
| `call.delta`   | `{call, model, text}`                            |
| `call.reset`   | `{call, attempt}`: forget this call's deltas     |
| `call.finished`| `{call, model, answer}`                          |
| `call.failed`  | `{call, model, answer}`                          |
| `job.finished` | the whole document                               |

`call` is the call's id, `model` the one that was named, `asked` the one that is asked in its place, or itself.
Lone surrogates never appear: texts are made storable before they are sent.
"""

from typing import Literal

EventName = Literal[
    "job.status",
    "call.waiting",
    "call.started",
    "call.delta",
    "call.reset",
    "call.finished",
    "call.failed",
    "job.finished",
]
