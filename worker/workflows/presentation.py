"""Results for reading."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.contracts.analyses import OutputFormat


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    body: str


def present(sections: Sequence[Section], output_format: OutputFormat) -> str:
    """The sections that have a body; headings in Markdown if that was asked for, underlined otherwise."""
    heading = "## {0}\n\n{1}" if output_format == "markdown" else "{0}\n{2}\n{1}"
    return "\n\n".join(
        heading.format(section.title, section.body.strip(), "-" * len(section.title))
        for section in sections
        if section.body.strip()
    )


def as_list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
