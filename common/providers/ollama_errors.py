"""What an Ollama server complains about, in our words. It gives no codes: a status, and one sentence."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from common.errors import ProviderError, Unsupported, UpstreamModelMissing, UpstreamRejected
from common.providers.openai_errors import MAX_DETAIL_CHARACTERS, classify, retry_after_seconds
from common.providers.storable import storable

# An error in the middle of a stream has no status. Had it come before, Ollama would have called it this.
HALFWAY_STATUS = 500


@dataclass(frozen=True, slots=True)
class Complaints:
    """The errors of one request: who was asked, for which model (empty for none), and what nobody may see.

    Their messages are bounded, storable, and have no `secret` in them.
    """

    server: str
    model: str = ""
    secret: str | None = None

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error of a response that is one; of `body` its beginning will do."""
        patience = retry_after_seconds(headers, time.time())
        return self._error(f"answered {status}", status, _sentence(body), patience)

    def broke_off(self, said: object) -> ProviderError:
        """The error of a stream that began well; `said` is what its last line has under `error`."""
        return self._error("broke off", HALFWAY_STATUS, _words(said), None)

    def _error(self, did: str, status: int, detail: str, retry_after: float | None) -> ProviderError:
        if self.secret:
            detail = detail.replace(self.secret, "***")
        detail = storable(detail)[:MAX_DETAIL_CHARACTERS]
        kind, advice = self._classified(status, detail.lower())
        return kind(f"{self.server} {did}: {detail}{advice}", retry_after_seconds=retry_after)

    def _classified(self, status: int, words: str) -> tuple[type[ProviderError], str]:
        """The class, and what to do next where we know it."""
        if "does not support" in words:
            return Unsupported, ""
        if status == httpx2.codes.NOT_FOUND:
            if self.model and "model" in words:
                return UpstreamModelMissing, f" (on its machine: `ollama pull {self.model}`)"
            return UpstreamRejected, " (is OLLAMA_BASE_URL the address of an Ollama server?)"
        return classify(status, (), words), ""


def _sentence(body: bytes) -> str:
    """The server's own sentence; where it is no Ollama's, the body as text."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and answer.get("error"):
        return _words(answer["error"])
    return body.decode(errors="replace") or "nothing"


def _words(said: object) -> str:
    """Ollama's `error` is a sentence; gateways in its place send OpenAI's object."""
    if isinstance(said, Mapping) and isinstance(said.get("message"), str):
        return str(said["message"])
    return said if isinstance(said, str) else json.dumps(said)
