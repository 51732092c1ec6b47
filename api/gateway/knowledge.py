"""Documents of the knowledge agent, put before what the user asks.

The agent's contract: `POST /query {query, limit}` gives `{documents: [{id, text?, score, source, page_index}]}`. A chat
does not fail for it: while the agent is away the model answers by itself, and a header says so.
"""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import orjson

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Outcome = Literal["used", "none", "unavailable"]

LIMIT = 5
# A chat waits for it: an agent that is slower than this had better be asked by somebody else.
QUERY_SECONDS = 3.0
# After a failure it is left alone for so long, so that not every chat waits for the same silence.
PAUSE_SECONDS = 10.0
MAX_QUERY_CHARACTERS = 4000
MAX_TEXT_CHARACTERS = 8000
MAX_RESPONSE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Document:
    """What the agent found. `text` is None where it only names a place."""

    source: str
    page: int | None
    score: float
    text: str | None


class KnowledgeAgent:
    """Asks the agent. Belongs to one event loop; connects to nothing until it is asked to."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/query"
        self._session: aiohttp.ClientSession | None = None
        self._silent_until = 0.0

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def find(self, query: str) -> Sequence[Document] | None:
        """The documents that fit best, best first; None while the agent is away. Takes QUERY_SECONDS at most."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                body = await self._ask(query[:MAX_QUERY_CHARACTERS])
            return parse(orjson.loads(body))
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            self._silent_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("the knowledge agent is away: %s", type(error).__name__)
            return None

    async def _ask(self, query: str) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        asked = {"query": query, "limit": LIMIT}
        # what people ask goes where the settings say, and nowhere else
        async with self._session.post(self._url, json=asked, allow_redirects=False) as response:
            response.raise_for_status()
            body = await response.content.read(MAX_RESPONSE_BYTES + 1)
            while len(body) <= MAX_RESPONSE_BYTES and (piece := await response.content.read(MAX_RESPONSE_BYTES)):
                body += piece
        if len(body) > MAX_RESPONSE_BYTES:
            raise ValueError("its answer is too long")
        return body


def parse(answer: Any) -> list[Document]:
    """The documents of an answer, best first.

    Raises:
        ValueError: it is none of the contract's.
    """
    found = answer.get("documents") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise ValueError("no documents")  # noqa: TRY004  # what a server sent is a value
    documents = [_document(one) for one in found[:LIMIT]]
    return sorted(documents, key=lambda document: -document.score)


def _document(given: Any) -> Document:
    if not isinstance(given, dict):
        raise ValueError("a document is no object")  # noqa: TRY004
    score, page, text = given.get("score"), given.get("page_index"), given.get("text")
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise ValueError("a document without a score")
    return Document(
        source=" ".join(str(given.get("source") or given.get("id") or "unknown").split()),
        page=page if isinstance(page, int) else None,
        score=float(score),
        text=text[:MAX_TEXT_CHARACTERS] if isinstance(text, str) and text.strip() else None,
    )


def question_of(messages: Sequence[Json]) -> str | None:
    """What the last user's message says; None if nobody asked anything in words."""
    place = _last_question(messages)
    if place is None:
        return None
    content = messages[place].get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) and content.strip() else None


def with_documents(messages: Sequence[Json], documents: Sequence[Document]) -> list[Json]:
    """The conversation with the documents as a system message, right before the last user's."""
    place = _last_question(messages)
    if not documents or place is None:
        return list(messages)
    return [*messages[:place], {"role": "system", "content": _as_context(documents)}, *messages[place:]]


def _last_question(messages: Sequence[Json]) -> int | None:
    places = [place for place, message in enumerate(messages) if message.get("role") == "user"]
    return places[-1] if places else None


def _as_context(documents: Sequence[Document]) -> str:
    parts = ["Relevant documents from knowledge base:"]
    for number, document in enumerate(documents, start=1):
        page = "" if document.page is None else f" Page {document.page}"
        text = f"\n{document.text}" if document.text else ""
        parts.append(f"[Document {number} - {document.source}{page}]:\n(Score: {document.score:.4f}){text}")
    parts.append("Use this context to help answer the user's question.")
    return "\n\n".join(parts)
