"""What was measured, and how it is shown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Figure:
    """One line of the table: samples of ours and, where there is one, of the bare peer.

    The target is either an absolute `limit` of ours, or, with `is_ratio`, one of ours over the peer's.
    `better` says on which side of the limit is well. `aim` is a wish beyond the target, told and not judged.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"]
    limit: float | None = None
    is_ratio: bool = False
    aim: str = ""
    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """Ours over bare: the median of the rounds' ratios, for a round's two are of the same minute."""
        if not self.ours or not self.bare:
            return None
        return statistics.median(ours / bare for ours, bare in zip(self.ours, self.bare, strict=True))

    @property
    def is_met(self) -> bool | None:
        """None where there is no target, or no sample."""
        value = self.ratio if self.is_ratio else statistics.median(self.ours) if self.ours else None
        if self.limit is None or value is None:
            return None
        return value >= self.limit if self.better == "higher" else value <= self.limit

    @property
    def target(self) -> str:
        sign = "≥" if self.better == "higher" else "≤"
        unit = "x bare" if self.is_ratio else self.unit
        parts = [f"{sign} {self.limit:g} {unit}"] if self.limit is not None else []
        return "; ".join([*parts, *([self.aim] if self.aim else [])])


def markdown(figures: Sequence[Figure]) -> str:
    """The table: medians, with the least and the greatest sample where there are several."""
    lines = ["| figure | ours | bare peer | ours / bare | target | met |", "| --- | --- | --- | --- | --- | --- |"]
    for figure in figures:
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        met = {True: "yes", False: "**no**", None: ""}[figure.is_met]
        cells = [figure.name, _shown(figure.ours, figure.unit), _shown(figure.bare, figure.unit), ratio]
        lines.append("| " + " | ".join([*cells, figure.target, met]) + " |")
    return "\n".join(lines)


def cpu_markdown(title: str, spent: Mapping[str, Mapping[str, float]]) -> str:
    """CPU milliseconds by system and process: `{system: {process: milliseconds}}`."""
    lines = [f"| {title} | process | CPU ms |", "| --- | --- | --- |"]
    for system, by_process in spent.items():
        rows = [*sorted(by_process.items()), ("all", sum(by_process.values()))]
        lines += [f"| {system} | {process} | {milliseconds:.2f} |" for process, milliseconds in rows]
    return "\n".join(lines)


def _shown(samples: Sequence[float], unit: str) -> str:
    if not samples:
        return ""
    middle = f"{statistics.median(samples):.4g} {unit}"
    return middle if len(samples) == 1 else f"{middle} ({min(samples):.4g} to {max(samples):.4g})"
