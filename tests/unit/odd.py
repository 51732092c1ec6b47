"""Documents that are right but for one place, which holds what nobody expects there."""

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

# Of every kind that JSON has, false and true to look at, and what Python cannot hash.
ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**18, "", "odd", [], [0], [[]], [{}], {}, {"type": []}, {"odd": 1})


def odd_versions(document: Any) -> Iterator[Any]:
    """The document with each of its values replaced by each of ODD, and with each left out."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield {other: kept for other, kept in document.items() if other != name}
            for odd in (*ODD, *odd_versions(value)):
                yield {**document, name: odd}
    elif isinstance(document, list):
        for place, value in enumerate(document):
            for odd in (*ODD, *odd_versions(value)):
                yield [*document[:place], odd, *document[place + 1 :]]
