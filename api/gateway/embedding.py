"""OpenAI's request for vectors as one of ours, for models whose servers speak otherwise."""

from api.gateway.asked import Asked
from api.gateway.calling import Json, refuse_unknown, unsupported
from common.errors import InvalidInput
from common.providers.protocol import EmbeddingRequest

UNDERSTOOD = frozenset({"model", "input", "dimensions", "encoding_format"})
ENCODINGS = ("float", "base64")
# As many as OpenAI takes, and more numbers a vector than any model has.
MAX_TEXTS = 2048
MAX_DIMENSIONS = 65_536


def embedding_request(asked: Asked, name: str, timeout_seconds: float) -> EmbeddingRequest:
    """The request, to the model that its server knows by this name.

    Raises:
        InvalidInput: a parameter is wrong; names it.
        Fault: Unsupported; names the parameter that is no part of it.
    """
    body = asked.body
    refuse_unknown(body, UNDERSTOOD)
    if body.get("encoding_format") not in (None, *ENCODINGS):
        raise InvalidInput("`encoding_format` is float or base64.", field="encoding_format")
    return EmbeddingRequest(name, _texts(body), _dimensions(body), timeout_seconds)


def _texts(body: Json) -> tuple[str, ...]:
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or "" in texts:
        raise InvalidInput("`input` is a text, or a list of texts; none of them is empty.", field="input")
    if not all(isinstance(text, str) for text in texts):
        raise unsupported("input", "tokens in `input`: send text")
    if len(texts) > MAX_TEXTS:
        raise InvalidInput(f"`input` has {len(texts)} texts: send {MAX_TEXTS} at most.", field="input")
    return tuple(texts)


def _dimensions(body: Json) -> int | None:
    given = body.get("dimensions")
    if given is None:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MAX_DIMENSIONS:
        raise InvalidInput(f"`dimensions` is a number from 1 to {MAX_DIMENSIONS}.", field="dimensions")
    return given
