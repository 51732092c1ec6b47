"""What was measured, and how it is shown: pairs of ours and plain, and what is left behind."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Added:
    """What ours adds to a time that both take. `limit` is of the median pair: its two are of the same second."""

    name: str
    unit: str
    limit: float
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)

    def add(self, ours: float, plain: float) -> None:
        self.ours.append(ours)
        self.plain.append(plain)

    @property
    def added(self) -> float:
        return statistics.median(self.differences)

    @property
    def differences(self) -> list[float]:
        return [ours - plain for ours, plain in zip(self.ours, self.plain, strict=True)]

    @property
    def is_met(self) -> bool:
        return self.added < self.limit


@dataclass(frozen=True, slots=True)
class Left:
    """Something counted before and after: a leak would make it grow, and `limit` is how much it may."""

    name: str
    unit: str
    before: float
    after: float
    limit: float

    @property
    def grown(self) -> float:
        return self.after - self.before

    @property
    def is_met(self) -> bool:
        return self.grown <= self.limit


def added_markdown(figures: Sequence[Added]) -> str:
    """Medians, and in brackets the tenth and the ninetieth percentile."""
    lines = ["| figure | pairs | ours | plain | added | target | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for figure in figures:
        times = [_shown(samples, figure.unit) for samples in (figure.ours, figure.plain, figure.differences)]
        target = f"< {figure.limit:g} {figure.unit}"
        lines.append(_row([figure.name, str(len(figure.ours)), *times, target, _verdict(is_met=figure.is_met)]))
    return "\n".join(lines)


def left_markdown(figures: Sequence[Left], title: str) -> str:
    lines = [_row([title, "before", "after", "grown by", "target", "met"]), _row(["---"] * 6)]
    for figure in figures:
        counts = [_number(count) for count in (figure.before, figure.after, figure.grown)]
        name = f"{figure.name}, {figure.unit}" if figure.unit else figure.name
        lines.append(_row([name, *counts, f"≤ {figure.limit:g}", _verdict(is_met=figure.is_met)]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _verdict(*, is_met: bool) -> str:
    return "yes" if is_met else "**no**"


def _shown(samples: Sequence[float], unit: str) -> str:
    middle = f"{_number(statistics.median(samples))} {unit}"
    if len(samples) == 1:
        return middle
    tenths = statistics.quantiles(samples, n=10, method="inclusive")
    return f"{middle} ({_number(tenths[0])} to {_number(tenths[-1])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
