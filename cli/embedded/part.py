"""What the supervisor is told about one process of the stack."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.embedded.account import Account

Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Part:
    """A process to start and to keep: values only, so a list of parts can be printed, compared and faked."""

    name: str
    command: tuple[str, ...]
    probe: Probe | None = None
    """Whether the part serves. None makes the part a step: it is done when it exits with 0."""
    after: frozenset[str] = frozenset()
    """Parts that must be ready, and steps that must be done, before this one starts."""
    stage: int = 0
    """Parts of a high stage are stopped before those of a lower one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    account: Account | None = None
    """Who runs it; None is whoever runs the supervisor."""
    start_seconds: float = 60.0
    stop_seconds: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    """Sent when the stop takes longer than `stop_seconds`, or when somebody is in a hurry."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the supervisor dies without stopping its parts."""
