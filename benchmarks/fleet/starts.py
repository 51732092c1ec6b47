"""Cold: how long until a model is ready, ours and a plain container in turn."""

from collections.abc import Callable

from benchmarks.fleet.figures import Added
from benchmarks.fleet.ours import Ours
from benchmarks.fleet.plain import Plain

ADDED_SECONDS = 1.0


def measured(ours: Ours, plain: Plain, pairs: int, step: Callable[[], None]) -> Added:
    """From asking to a container that has generated a token. Each begins every other pair; no two run at once."""
    figure = Added("cold: from asking to ready", "s", ADDED_SECONDS)
    for number in range(pairs):
        seconds: dict[str, float] = {}
        for name in ("ours", "plain") if number % 2 == 0 else ("plain", "ours"):
            if name == "ours":
                seconds[name] = ours.run()
                ours.stop()
            else:
                seconds[name] = plain.run()
                plain.stop()
        figure.add(seconds["ours"], seconds["plain"])
        step()
    return figure
