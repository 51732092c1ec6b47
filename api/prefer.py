"""The `Prefer` header (RFC 7240): whether a caller waits for the result."""

from dataclasses import dataclass

MAX_WAIT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Preference:
    """How long to hold the request open, and the `Preference-Applied` that says so."""

    wait_seconds: int = 0
    applied: str | None = None


def parse_prefer(header: str | None, *, usual_wait_seconds: int = 0) -> Preference:
    """Read `wait=SECONDS` and `respond-async`; what is unknown or malformed is ignored, as the RFC asks.

    Both together mean: wait that long, then answer 202. A wait is bounded to MAX_WAIT_SECONDS. Who prefers neither
    waits as is usual there.
    """
    preferences = _split(header or "")
    wait = preferences.get("wait", "")
    if wait.isascii() and wait.isdigit():
        seconds = min(int(wait[:9]), MAX_WAIT_SECONDS)
        return Preference(seconds, f"wait={seconds}")
    if "respond-async" in preferences:
        return Preference(0, "respond-async")
    return Preference(usual_wait_seconds)


def _split(header: str) -> dict[str, str]:
    """Preferences by name; the first of a name counts."""
    found: dict[str, str] = {}
    for item in header.split(","):
        name, _, value = item.split(";", 1)[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
