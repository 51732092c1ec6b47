"""The field: the upstream and every system that could be started, at once, on their cores."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from benchmarks.gateway.litellm_peer import LOCK, LiteLLM
from benchmarks.gateway.loads import Loads
from benchmarks.gateway.ours import Ours
from benchmarks.gateway.systems import Bare, Cores, Direct, System
from benchmarks.gateway.venvs import made_from
from benchmarks.processes import Processes
from cli.embedded.stack import Stack

NAMES = ("ours", "bare", "LiteLLM")


@dataclass(frozen=True, slots=True)
class Field:
    """Who runs and answers as asked; `notes` say why somebody does not."""

    direct: Direct
    systems: list[System]
    notes: list[str]


@contextmanager
def started(
    scratch: Path, cores: Cores, *, paced_tokens: int, only: AbstractSet[str], progress: Progress
) -> Iterator[Field]:
    """Start those of NAMES that are wanted, each with a log in `scratch`; stopped afterwards.

    A peer that cannot be installed or started is left out; so is ours while it does not answer.
    """
    with ExitStack() as running:

        def processes() -> Processes:
            """Each has its own: one that ends is no reason for another to."""
            own = Processes(scratch)
            running.callback(own.stop)
            return own

        direct = Direct(processes(), paced_tokens=paced_tokens)
        direct.start()

        def ours() -> System:
            servers = running.enter_context(Stack(scratch / "servers", only=("postgres", "valkey")))
            return Ours(processes(), cores, direct, servers.settings)

        makers: dict[str, Callable[[], System]] = {
            "ours": ours,
            "bare": lambda: Bare(processes(), cores, direct),
            "LiteLLM": lambda: LiteLLM(processes(), cores, direct, made_from(LOCK)),
        }
        field = Field(direct, [], [])
        loads = Loads(scratch)
        for name in NAMES:
            if name not in only:
                continue
            step = progress.add_task(f"starting {name}", total=None)
            try:
                system = makers[name]()
                system.start()
                loads.check(system)
            except (RuntimeError, OSError) as error:
                field.notes.append(f"{name}: {error}")
            else:
                field.systems.append(system)
            progress.update(step, total=1, completed=1)
        yield field
