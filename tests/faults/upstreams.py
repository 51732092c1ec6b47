"""Model servers that hang, break off, or never come to an end."""

import asyncio
from collections.abc import Iterator

from tests.faults.field import Field, body
from tests.faults.history import History

KINDS = ("hang", "reset", "trickle")
# The deadline of the row's calls; and what a whole call may take: attempts, the waits between them, the stand-in.
CALL_SECONDS = 20
LONGEST_SECONDS = 120


async def misbehave(field: Field, times: int) -> None:
    """Ask each kind of bad server, `times` in all, beside the load."""
    for number in range(times):
        kind = KINDS[number % len(KINDS)]
        await field.loaded()
        field.note(f"upstream {kind}", field.injecting())
        await field.submitter.submit(body(2_000_000 + number, [f"faulty-{kind}"], is_merged=False))
        field.say(f"bad upstream {number + 1} of {times}: {kind}")
        await asyncio.sleep(1.0)
    await asyncio.sleep(45)


def stand_ins_answered(history: History) -> Iterator[str]:
    """Every call to a bad server was answered by its stand-in, in bounded time."""
    for call in history.calls.values():
        if not call.model.startswith("faulty-"):
            continue
        if call.status != "completed" or call.served_by != "steady-a":
            yield f"call {call.id} to {call.model} ended {call.status}, served by {call.served_by}"
        elif call.started_at and call.finished_at and call.finished_at - call.started_at > LONGEST_SECONDS:
            yield f"call {call.id} to {call.model} took {call.finished_at - call.started_at:.0f} s"


def circuits_opened(history: History) -> Iterator[str]:
    """After a few failures the bad servers were left alone: some calls were passed on unasked."""
    bad = [call for call in history.calls.values() if call.model.startswith("faulty-")]
    for kind in {call.model for call in bad}:
        of_kind = [call for call in bad if call.model == kind]
        if len(of_kind) > 10 and not any("circuit_open" in call.history for call in of_kind):
            yield f"the circuit of {kind} never opened in {len(of_kind)} calls"
