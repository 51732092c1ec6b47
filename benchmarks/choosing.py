"""What of a benchmark is to be run, as its command line says it."""

import argparse
from collections.abc import Callable, Collection


def some_of(known: Collection[str]) -> Callable[[str], set[str]]:
    """For `type=` of an option: `a,b` as a set of known names."""

    def parse(text: str) -> set[str]:
        names = set(text.split(","))
        if unknown := names - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        return names

    return parse
