"""What an Ollama server complains about, in our words. It gives no codes: a status, and one sentence."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import ProviderError, Unsupported, UpstreamModelMissing, UpstreamRejected
from common.providers.foreign_errors import classify, presentable, retry_after_seconds

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
        return self._error(f"answered {status}", status, _error_in(body), patience)

    def broke_off(self, said: object) -> ProviderError:
        """The error of a stream that began well; `said` is what its last line has under `error`."""
        return self._error("broke off", HALFWAY_STATUS, said, None)

    def _error(self, did: str, status: int, said: object, retry_after: float | None) -> ProviderError:
        detail, names = _words(said)
        detail = presentable(detail, self.secret)
        kind, advice = self._classified(status, names, detail.lower())
        return kind(f"{self.server} {did}: {detail}{advice}", retry_after_seconds=retry_after)

    def _classified(self, status: int, names: tuple[str | None, ...], words: str) -> tuple[type[ProviderError], str]:
        """The class, and what to do next where we know it."""
        if "does not support" in words:
            return Unsupported, ""
        kind = classify(status, names, words)
        if kind is not UpstreamModelMissing:
            return kind, ""
        if self.model and "model" in words:
            return kind, f" (on its machine: `ollama pull {self.model}`)"
        return UpstreamRejected, " (is OLLAMA_BASE_URL the address of an Ollama server?)"


def _error_in(body: bytes) -> object:
    """What the server has under `error`; where it has nothing, the body as text."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and answer.get("error"):
        return answer["error"]
    return body.decode(errors="replace") or "nothing"


def _words(said: object) -> tuple[str, tuple[str | None, ...]]:
    """The sentence, and the names that go with it: Ollama gives none, gateways in its place have OpenAI's object."""
    if isinstance(said, Mapping) and isinstance(said.get("message"), str):
        names = (said.get("code"), said.get("type"))
        return str(said["message"]), tuple(name for name in names if isinstance(name, str))
    return (said if isinstance(said, str) else json.dumps(said)), ()
