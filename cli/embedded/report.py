"""What a person sees of a stack: a line for each part that came up; on a terminal also what is still starting."""

import sys
from typing import Protocol


class Report(Protocol):
    """Told what happens, in the order it happens."""

    def starting(self, name: str) -> None: ...
    def ready(self, name: str, seconds: float) -> None: ...
    def failed(self, name: str) -> None: ...
    def notice(self, text: str) -> None: ...
    def stopping(self) -> None: ...


class PlainReport:
    """One line an event; what went wrong goes to standard error."""

    def starting(self, name: str) -> None:
        """Say nothing: the line comes when there is a time to tell."""

    def ready(self, name: str, seconds: float) -> None:
        print(f"  {name} up in {seconds:.1f} s", flush=True)

    def failed(self, name: str) -> None:
        print(f"  {name} failed", flush=True)

    def notice(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def stopping(self) -> None:
        print("stopping", flush=True)


class LiveReport:
    """The same lines in colour, and below them, while there are any, the parts that are starting.

    Drawn when something happens, by the caller: a refreshing thread would make the supervisor fork with threads.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._starting: list[str] = []

    def starting(self, name: str) -> None:
        self._starting.append(name)
        self._draw()

    def ready(self, name: str, seconds: float) -> None:
        self._settle(name, f"[green]✓[/] {name} [dim]{seconds:.1f} s[/]")

    def failed(self, name: str) -> None:
        self._settle(name, f"[red]✗[/] {name}")

    def notice(self, text: str) -> None:
        self._erase()
        self._console.print(text, style="yellow", markup=False)
        self._draw()

    def stopping(self) -> None:
        self._erase()
        self._starting.clear()
        self._console.print("[dim]stopping[/]")

    def _settle(self, name: str, line: str) -> None:
        self._erase()
        self._console.print(f"  {line}")
        if name in self._starting:
            self._starting.remove(name)
        self._draw()

    def _draw(self) -> None:
        if self._starting:
            self._erase()
            line = f"  … {', '.join(self._starting)}"
            self._console.print(f"[dim]{line[: self._console.width - 1]}[/]", end="")

    def _erase(self) -> None:
        self._console.file.write("\r\x1b[2K")


def report_for(output_is_terminal: bool) -> Report:
    """The report that fits where standard output goes."""
    return LiveReport() if output_is_terminal else PlainReport()
