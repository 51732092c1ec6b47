"""A council behind one model's name: ask the configured models at once, and answer with what they come to.

`ultra-compare` has a lead model write one answer out of theirs; `ultra-best` has it choose the best one, which is
given as it was said. Any chat client gets a council this way. What each member said stands in the field `ultra`, of
the whole answer or of a last chunk without choices, where clients that do not know it find nothing to trip over.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from api.auth import Caller
from api.gateway import leading
from api.gateway.answers import Whole
from api.gateway.asked import Asked
from api.gateway.client import DONE, Client
from api.gateway.exchange import Accounts
from api.gateway.faults import Fault
from api.gateway.json_bytes import dumps, loads
from api.gateway.kinds import CHAT
from api.gateway.rendering import ChunkWriter, answer_document
from api.gateway.said import words_of
from api.gateway.sitting import Sitting
from api.gateway.streaming import pass_on
from api.gateway.travel import Travel
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.calls import Usage
from common.errors import AppError, BadUpstream, InvalidInput
from common.providers.complete import Completion
from common.providers.protocol import Delta

NAMES = (COMPARE, BEST) = ("ultra-compare", "ultra-best")
# What only one model can be asked for.
REFUSED = ("tools", "functions", "response_format", "logprobs")


@dataclass(frozen=True, slots=True)
class Said:
    """What one member came to: an answer, and who gave it, or why there is none. Blank is none."""

    model: str
    latency_ms: float
    text: str | None = None
    served_by: str | None = None
    usage: Usage | None = None
    failure: AppError | Fault | None = None

    def shown(self) -> dict[str, Any]:
        """As clients read it."""
        usage = self.usage and {
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
        }
        return {
            "model": self.model,
            "served_by": self.served_by,
            "status": "failed" if self.text is None else "completed",
            "text": self.text,
            "error": self.failure and str(self.failure),
            "usage": usage,
            "latency_ms": self.latency_ms,
        }


class Council:
    """Serves the models of `NAMES`."""

    def __init__(self, travel: Travel, accounts: Accounts, catalog: Callable[[], Catalog]) -> None:
        self._travel = travel
        self._accounts = accounts
        self._catalog = catalog

    async def serve(self, client: Client, caller: Caller, asked: Asked, models: Sequence[str]) -> None:
        """Answer the client's request, with these models as members: those that the caller may ask.

        Raises:
            AppError: the request is wrong, or not let in.
            Fault: no member answered, or the lead model broke off.
        """
        _refuse(asked)
        sitting = Sitting(self._travel, self._accounts, caller, asked)
        try:
            members = await _ask_all(sitting, models)
            heard = [member for member in members if member.text is not None]
            if not heard:
                raise _why_nobody(members)
            if asked.model == COMPARE and len(heard) > 1:
                await _merge(client, sitting, self._lead(caller, heard), members)
            else:
                chosen = await _choose(sitting, self._lead(caller, heard), heard) if len(heard) > 1 else heard[0]
                await _give(client, sitting, members, chosen)
        except (AppError, Fault):
            client.headers.append((b"x-ultra-attempts", b"%d" % sitting.attempts))
            raise

    def _lead(self, caller: Caller, heard: Sequence[Said]) -> ModelEntry:
        """The catalog's, or the first that answered, if the caller may not ask that one."""
        catalog = self._catalog()
        lead = catalog.resolve(catalog.default_lead or catalog.default_models[0])
        return lead if caller.limits.allow(lead.id) else catalog.resolve(heard[0].model)


async def _ask_all(sitting: Sitting, models: Sequence[str]) -> list[Said]:
    sitting.begin_round()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_ask(sitting, model)) for model in models]
    return [task.result() for task in asking]


async def _ask(sitting: Sitting, model: str) -> Said:
    started = time.perf_counter()

    def took() -> float:
        return round((time.perf_counter() - started) * 1000, 1)

    body = {name: value for name, value in sitting.asked.body.items() if name not in {"stream", "stream_options"}}
    try:
        answer = await sitting.answer_to(_question(sitting.asked, model, body))
    except (AppError, Fault) as failure:
        return Said(model, took(), failure=failure)
    return Said(model, took(), _text_of(answer), _served_by(answer), answer.usage)


async def _merge(client: Client, sitting: Sitting, lead: ModelEntry, members: Sequence[Said]) -> None:
    """The lead model's answer, passed on as it comes."""
    asked = sitting.asked
    question = _question(asked, lead.id, leading.merging(asked.body, _texts(members)))
    sitting.begin_round()
    if not asked.is_streamed:
        answer = await sitting.answer_to(question)
        document = loads(answer.document) | {"model": asked.model, "ultra": _extension(members)}
        await client.answer(200, [*sitting.headers(_served_by(answer)), *sitting.cost()], dumps(document))
        return
    streamed = replace(
        question, body={**question.body, "stream": True}, is_streamed=True, wants_usage=asked.wants_usage
    )
    async with sitting.question(streamed) as exchange:
        await pass_on(
            client,
            sitting.travel,
            exchange,
            headers=lambda: sitting.headers(exchange.trip.entry.id),
            last=lambda first: _last_chunk(first, members),
        )


async def _choose(sitting: Sitting, lead: ModelEntry, heard: Sequence[Said]) -> Said:
    """The answer that the lead model holds for the best; the first one if it does not say."""
    texts = _texts(heard)
    body = leading.choosing(sitting.asked.body, texts, is_held=lead.can("json_schema"))
    sitting.begin_round()
    try:
        answer = await sitting.answer_to(_question(sitting.asked, lead.id, body))
    except (AppError, Fault):
        return heard[0]
    return heard[leading.chosen(_text_of(answer), texts)]


async def _give(client: Client, sitting: Sitting, members: Sequence[Said], chosen: Said) -> None:
    """A member's answer in its own words."""
    asked, headers = sitting.asked, sitting.headers(chosen.served_by or chosen.model)
    extension = _extension(members) | {"chosen": chosen.model}
    if not asked.is_streamed:
        completion = Completion(chosen.text or "", "stop", chosen.usage)
        document = loads(answer_document(CHAT, asked.model, completion)) | {"ultra": extension}
        await client.answer(200, [*headers, *sitting.cost()], dumps(document))
        return
    writer = ChunkWriter(CHAT, asked.model)
    await client.begin_stream(headers)
    await client.write(writer.events([Delta(text=chosen.text or ""), Delta(finish_reason="stop")]))
    if asked.wants_usage and chosen.usage is not None:
        await client.write(writer.usage(chosen.usage))
    await client.end_stream(writer.beside(ultra=extension) + DONE)


def _refuse(asked: Asked) -> None:
    for name in REFUSED:
        if asked.body.get(name):
            raise InvalidInput(f"{asked.model} is several models: ask one of them for this.", field=name)
    if asked.choices != 1:
        raise InvalidInput(f"{asked.model} gives one answer.", field="n")


def _question(asked: Asked, model: str, body: dict[str, Any]) -> Asked:
    return replace(asked, body={**body, "model": model}, model=model, is_streamed=False, wants_usage=False)


def _why_nobody(members: Sequence[Said]) -> AppError | Fault:
    """What the first one met, with its status: the client is told what it would be if it had asked that one alone."""
    failures = [member.failure for member in members if member.failure is not None]
    return failures[0] if failures else Fault(BadUpstream("No member of the council said a word."))


def _served_by(answer: Whole) -> str:
    return str(loads(answer.document)["model"])


def _text_of(answer: Whole) -> str | None:
    text = words_of(loads(answer.document)["choices"][0]["message"])
    return text if text is not None and text.strip() else None


def _texts(members: Sequence[Said]) -> list[str]:
    return [member.text for member in members if member.text is not None]


def _extension(members: Sequence[Said]) -> dict[str, Any]:
    return {"members": [member.shown() for member in members]}


def _last_chunk(events: bytes, members: Sequence[Said]) -> bytes:
    """A chunk of the same stream as these."""
    chunk = loads(events.removeprefix(b"data: ").partition(b"\n\n")[0])
    shared = {name: chunk[name] for name in ("id", "object", "created", "model")}
    return b"data: %b\n\n" % dumps({**shared, "choices": [], "ultra": _extension(members)})
