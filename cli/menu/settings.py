"""What may be set for an analysis beyond its question: labels, choices, and where an answer goes."""

from dataclasses import dataclass, replace
from typing import cast, get_args

from cli.menu.draft import Draft
from common.contracts.analyses import OutputFormat


@dataclass(frozen=True, slots=True)
class Setting:
    """One of them. `choices` are (value, words); with none a text is asked for. `unset` is what holds else."""

    name: str
    label: str
    unset: str = ""
    choices: tuple[tuple[str, str], ...] = ()

    def value(self, draft: Draft) -> str:
        """What was typed or chosen, or nothing."""
        return draft.output_format if self.name == "output_format" else draft.options.get(self.name, "")

    def said(self, draft: Draft) -> str:
        """The same in words."""
        value = self.value(draft)
        return dict(self.choices).get(value, value) or self.unset

    def set(self, draft: Draft, value: str) -> Draft:
        """The draft with this value, or without any."""
        if self.name == "output_format":
            return replace(draft, output_format=cast("OutputFormat", value))
        others = {name: said for name, said in draft.options.items() if name != self.name}
        return replace(draft, options=others | ({self.name: value} if value else {}))


SETTINGS = (
    Setting("output_format", "Show the result as", choices=tuple((name, name) for name in get_args(OutputFormat))),
    Setting("system", "System prompt", "none"),
    Setting("temperature", "Temperature", "as each model is set up"),
    Setting("max_tokens", "Longest answer in tokens", "as each model is set up"),
    Setting("timeout_seconds", "Deadline of each answer in seconds", "as each model is set up"),
    Setting("prefer", "Prefer models", choices=(("", "as listed"), ("local", "local ones"), ("cloud", "of the cloud"))),
    Setting(
        "cache",
        "Recorded answers",
        choices=(("", "as the analysis type says"), ("true", "will do"), ("false", "will not do")),
    ),
)
