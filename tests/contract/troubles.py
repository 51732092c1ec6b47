"""What a model's server can do to us, and what we must make of it."""

from enum import StrEnum

from common.errors import (
    BadUpstream,
    ContentRefused,
    ContextTooLong,
    ProviderError,
    RateLimited,
    Timeout,
    Unavailable,
    UpstreamDenied,
    UpstreamModelMissing,
)

# What a server that asks for patience says.
RETRY_AFTER_SECONDS = 7
# Said before a trouble that comes in the middle of an answer.
SAID_BEFORE = "Once upon"


class Trouble(StrEnum):
    RATE_LIMITED = "rate-limited"
    SERVER_ERROR = "server-error"
    OVERLOADED = "overloaded"
    AWAY = "away"
    WRONG_KEY = "wrong-key"
    NO_SUCH_MODEL = "no-such-model"
    TOO_LONG = "too-long"
    REFUSED = "refused"
    NO_RESPONSE = "no-response"
    SLOW_FIRST_TOKEN = "slow-first-token"
    STALL = "stall"
    DISCONNECT = "disconnect"
    TRUNCATED = "truncated"
    BROKEN_JSON = "broken-json"
    BROKEN_SHAPE = "broken-shape"
    BROKEN_UTF8 = "broken-utf8"
    ERROR_HALFWAY = "error-halfway"


EXPECTED: dict[Trouble, type[ProviderError]] = {
    Trouble.RATE_LIMITED: RateLimited,
    Trouble.SERVER_ERROR: Unavailable,
    Trouble.OVERLOADED: Unavailable,
    Trouble.AWAY: Unavailable,
    Trouble.WRONG_KEY: UpstreamDenied,
    Trouble.NO_SUCH_MODEL: UpstreamModelMissing,
    Trouble.TOO_LONG: ContextTooLong,
    Trouble.REFUSED: ContentRefused,
    Trouble.NO_RESPONSE: Timeout,
    Trouble.SLOW_FIRST_TOKEN: Timeout,
    Trouble.STALL: Timeout,
    Trouble.DISCONNECT: BadUpstream,
    Trouble.TRUNCATED: BadUpstream,
    Trouble.BROKEN_JSON: BadUpstream,
    Trouble.BROKEN_SHAPE: BadUpstream,
    Trouble.BROKEN_UTF8: BadUpstream,
    Trouble.ERROR_HALFWAY: Unavailable,
}

# These come after SAID_BEFORE; the others before the first token.
HALFWAY = frozenset(
    {
        Trouble.STALL,
        Trouble.DISCONNECT,
        Trouble.TRUNCATED,
        Trouble.BROKEN_JSON,
        Trouble.BROKEN_SHAPE,
        Trouble.BROKEN_UTF8,
        Trouble.ERROR_HALFWAY,
    }
)
PATIENT = frozenset({Trouble.RATE_LIMITED, Trouble.AWAY})
SILENT = frozenset({Trouble.NO_RESPONSE, Trouble.SLOW_FIRST_TOKEN, Trouble.STALL})
