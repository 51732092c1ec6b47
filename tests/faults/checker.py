"""What must hold of every run, whatever was done to it. Pure: a history in, faults of ours out.

Each invariant is a function that yields a sentence for each violation. The idea is Jepsen's: judge from what
clients were told and what was written, not from what the system says of itself.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from api.events.ids import order_of
from tests.faults.history import CallStep, History

TERMINAL = frozenset({"completed", "partial", "failed", "cancelled"})
ENDED = frozenset({"completed", "failed", "cancelled"})

Invariant = Callable[[History], Iterator[str]]


def violations(history: History, *more: Invariant) -> list[str]:
    """Every violation of the invariants, and of those that one row of the matrix adds."""
    return [f"{check.__name__}: {said}" for check in (*INVARIANTS, *more) for said in check(history)]


def acknowledged_jobs_end(history: History) -> Iterator[str]:
    """A 202 is a promise: the job is there, and it ended."""
    for job_id in history.acknowledged:
        job = history.jobs.get(job_id)
        if job is None:
            yield f"job {job_id} was acknowledged and is not there"
        elif job.status not in TERMINAL:
            yield f"job {job_id} was acknowledged and is {job.status}"


def stored_jobs_end(history: History) -> Iterator[str]:
    """Nor does a job hang of which the client never heard: its 202 was lost on the way."""
    for job in history.jobs.values():
        if job.id not in history.acknowledged and job.status not in TERMINAL:
            yield f"job {job.id}, not acknowledged, is {job.status}"


def calls_end_once(history: History) -> Iterator[str]:
    """Each call of an ended job has exactly one recorded result, and no step leads out of it."""
    endings: Counter[str] = Counter()
    for step in history.call_steps:
        if step.after in ENDED:
            endings[step.call_id] += 1
        if step.before in ENDED:
            yield f"call {step.call_id} went from {step.before} to {step.after}"
    for call in history.calls.values():
        if call.status not in ENDED:
            yield f"call {call.id} of job {call.job_id} is {call.status}"
        elif endings[call.id] != 1:
            yield f"call {call.id} was ended {endings[call.id]} times"


def attempts_only_grow(history: History) -> Iterator[str]:
    """The fencing token grows with each claim by one, and never otherwise changes."""
    for step in history.call_steps:
        claims = step.after == "running" and step.attempt_after == step.attempt_before + 1
        if step.attempt_after != step.attempt_before and not claims:
            yield f"call {step.call_id} went from attempt {step.attempt_before} to {step.attempt_after}"


def no_stale_write(history: History) -> Iterator[str]:
    """A result that a worker was told counted was written under the call's token of that moment."""
    tokens = {step.call_id: step.attempt_after for step in history.call_steps if step.after in ENDED}
    accepted = Counter(write.call_id for write in history.writes if write.accepted)
    for write in history.writes:
        token = tokens.get(write.call_id)
        if write.accepted and token is not None and write.attempt != token:
            yield f"attempt {write.attempt} of call {write.call_id} was recorded when attempt {token} had it"
    for call_id, count in accepted.items():
        if count > 1:
            yield f"{count} workers were told that their result of call {call_id} counted"


def rounds_have_one_successor(history: History) -> Iterator[str]:
    """Each round of a job is opened once, after the one before it, and no step leads out of an ended job."""
    opened: Counter[tuple[str, int]] = Counter()
    for step in history.job_steps:
        if step.round_after not in (step.round_before, step.round_before + 1):
            yield f"job {step.job_id} went from round {step.round_before} to {step.round_after}"
        if step.before in TERMINAL:
            yield f"job {step.job_id} went from {step.before} to {step.after}"
        opened[step.job_id, step.round_after] += step.round_after > step.round_before
    for (job_id, number), count in opened.items():
        if count > 1:
            yield f"round {number} of job {job_id} was opened {count} times"


def rounds_are_whole(history: History) -> Iterator[str]:
    """A job has the calls of each round it opened, one a place, and of the first one a call a model."""
    rounds: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for call in history.calls.values():
        rounds[call.job_id][call.round].append(call.position)
    for job in history.jobs.values():
        opened = rounds[job.id]
        if set(opened) != set(range(job.round)):
            yield f"job {job.id} has calls of the rounds {sorted(opened)} and counted {job.round}"
        for number, places in opened.items():
            expected = job.asked if number == 0 else len(places)
            if sorted(places) != list(range(expected)):
                yield f"round {number} of job {job.id} has the places {sorted(places)}, {expected} were due"


def messages_name_stored_jobs(history: History) -> Iterator[str]:
    """The broker is rung after the commit, so no worker is sent to look for what is not there."""
    for job_id in history.unknown_jobs:
        yield f"a message named job {job_id} before it was stored"


def requests_are_accounted(history: History) -> Iterator[str]:
    """Every request that a model server got is counted in some call's attempts."""
    attempts = sum(call.attempt for call in history.calls.values())
    if history.requests > attempts:
        yield f"the model server got {history.requests} requests and the calls tell of {attempts} attempts"


def refusals_are_clear(history: History) -> Iterator[str]:
    """What is not accepted is 503 or 429 with Retry-After; no answer at all happens when the API itself dies."""
    for refusal in history.refusals:
        if refusal.status not in (0, 429, 503):
            yield f"a submission was answered {refusal.status}"
        elif refusal.status and not refusal.has_retry_after:
            yield f"a {refusal.status} came without Retry-After"


def readers_saw_everything(history: History) -> Iterator[str]:
    """Each reader saw events in order, none twice, all that the stream has, and the end."""
    for reading in history.readings:
        ids = [event_id for event_id, _, _ in reading.events]
        name = f"the reader of job {reading.job_id} ({reading.resumptions} resumptions)"
        if not reading.events or reading.events[-1][1] != "job.finished":
            yield f"{name} never saw its end"
            continue
        for earlier, later in pairwise(ids):
            if order_of(earlier) >= order_of(later):
                yield f"{name} saw {later} after {earlier}"
        # One that got its end from Postgres, while Valkey was away, got every result from there too.
        if not ids[-1].startswith("pg-") and (missing := set(history.streams.get(reading.job_id, ())) - set(ids)):
            yield f"{name} missed {len(missing)} of {len(ids)} events, {min(missing, key=order_of)} first"


def nothing_dead_lettered(history: History) -> Iterator[str]:
    """No call is given up for its workers' deaths; a row that kills by intent leaves this one out."""
    for call in history.calls.values():
        if call.error_code == "dead_lettered":
            yield f"call {call.id} was given up after {call.attempt} attempts"


INVARIANTS: tuple[Invariant, ...] = (
    acknowledged_jobs_end,
    stored_jobs_end,
    calls_end_once,
    attempts_only_grow,
    no_stale_write,
    rounds_have_one_successor,
    rounds_are_whole,
    messages_name_stored_jobs,
    requests_are_accounted,
    refusals_are_clear,
    readers_saw_everything,
)


def everything_completed(history: History) -> Iterator[str]:
    """No job lost an answer to the faults."""
    for job in history.jobs.values():
        if job.status != "completed":
            yield f"job {job.id} ended {job.status}"


def nothing_rerun(history: History) -> Iterator[str]:
    """Every call was claimed once, and every question asked once."""
    for call in history.calls.values():
        if call.attempt != 1:
            yield f"call {call.id} took {call.attempt} attempts"
    if history.requests != history.questions:
        yield f"{history.requests - history.questions} questions were asked again"


def rescues(history: History) -> list[float]:
    """Seconds from a fault to the next claim of each call that its worker held, or to the call's end."""
    steps: dict[str, list[CallStep]] = defaultdict(list)
    held_by: dict[str | None, set[str]] = defaultdict(set)
    for step in history.call_steps:
        steps[step.call_id].append(step)
        held_by[step.worker].add(step.call_id)
    seconds = []
    for fault in history.faults:
        for call_id in held_by[fault.worker] if fault.worker else ():
            before = [step for step in steps[call_id] if step.at <= fault.at]
            if not before or before[-1].after != "running" or before[-1].worker != fault.worker:
                continue
            after = (step.at for step in steps[call_id][len(before) :] if step.after in ENDED | {"running"})
            seconds.append(next(after, math.inf) - fault.at)
    return seconds


def resumptions(history: History) -> list[float]:
    """Seconds from each fault's end until a job submitted after it had a call claimed: the whole path works again."""
    first_claim: dict[str, float] = {}
    for step in history.call_steps:
        if step.after == "running" and step.call_id in history.calls:
            first_claim.setdefault(history.calls[step.call_id].job_id, step.at)
    begun = sorted((job.created_at, first_claim.get(job.id, math.inf)) for job in history.jobs.values())
    return [
        min((claimed - fault.end for created, claimed in begun if created > fault.end), default=math.inf)
        for fault in history.faults
    ]
