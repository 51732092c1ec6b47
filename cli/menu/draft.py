"""An analysis while it is being put together: what was answered so far, and the request it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from cli.menu.prompts import escaped
from common.contracts.analyses import AnalysisDocument, AnalysisOptions, AnalysisRequest, OutputFormat


@dataclass(frozen=True, slots=True)
class Draft:
    """Every field is sound by itself; whether the models and the type exist is the server's to say.

    `typed_prompt` is what was typed, `@file` included, and `prompt` what it stands for. `options` are
    texts as they were typed.
    """

    analysis_type: str = "comparative"
    models: tuple[str, ...] = ()
    typed_prompt: str = ""
    prompt: str = ""
    lead_model: str | None = None
    is_merged: bool = True
    output_format: OutputFormat = "text"
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def again(cls, document: AnalysisDocument) -> Self:
        """The same question once more. A document does not say its options and its lead: they start anew."""
        return cls(
            analysis_type=document.analysis_type,
            models=tuple(model.asked for model in document.models),
            typed_prompt=escaped(document.prompt),
            prompt=document.prompt,
            output_format=document.output_format,
        )

    def request(self) -> AnalysisRequest:
        """What is sent. What was not answered is left out, so that the server's own defaults hold."""
        options: dict[str, Any] = dict(self.options)
        if not self.is_merged:
            options["merge"] = False
        fields: dict[str, Any] = {
            "prompt": self.prompt,
            "analysis_type": self.analysis_type,
            "models": list(self.models),
            "output_format": self.output_format,
        }
        if self.is_merged and self.lead_model:
            fields["lead_model"] = self.lead_model
        if options:
            fields["options"] = options
        return AnalysisRequest.model_validate(fields)


def fault_in_prompt(prompt: str) -> str | None:
    """Why the server would refuse this prompt; None if it would not."""
    return _fault(AnalysisRequest, {"prompt": prompt})


def fault_in_option(name: str, typed: str) -> str | None:
    """Why the server would refuse this value of an option; None if it would not, or nothing was typed."""
    return _fault(AnalysisOptions, {name: typed}) if typed else None


def _fault(contract: type[BaseModel], fields: dict[str, str]) -> str | None:
    try:
        contract.model_validate(fields)
    except ValidationError as error:
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return None
