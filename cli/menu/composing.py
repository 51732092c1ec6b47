"""Putting an analysis together: type, models, prompt, lead, and a last look at it all."""

from collections.abc import Sequence
from dataclasses import replace

from cli.menu.asker import Asker, Back, Offer
from cli.menu.draft import Draft, fault_in_option, fault_in_prompt
from cli.menu.offers import Ready, lead_offers, model_offers, review_offers, type_offers
from cli.menu.prompts import PromptUnreadable, prompt_of
from cli.menu.settings import Setting
from common.contracts.analysis_types import AnalysisType
from common.contracts.models import ModelDocument

REVIEW = 4


class StartOver(Exception):
    """Everything answered so far is to be forgotten."""


class Composer:
    """Leads from question to question; `Back` in one of them leads to the one before."""

    def __init__(self, asker: Asker, types: Sequence[AnalysisType], models: Sequence[ModelDocument]) -> None:
        self._asker = asker
        self._types = types
        self._models = models

    def compose(self, draft: Draft, step: int = 0) -> Draft:
        """A draft to be sent, beginning with this step.

        Raises:
            Back: out of the first question.
        """
        steps = (self._choose_type, self._choose_models, self._write_prompt, self._choose_lead, self._review)
        while step < len(steps):
            try:
                draft = steps[step](draft)
                step += 1
            except Back:
                if step == 0:
                    raise
                step -= 1
            except StartOver:
                draft, step = Draft(), 0
        return draft

    def _choose_type(self, draft: Draft) -> Draft:
        return replace(draft, analysis_type=self._asker.select("Analysis type", type_offers(self._types, draft)))

    def _choose_models(self, draft: Draft) -> Draft:
        return replace(draft, models=tuple(self._asker.check("Models", model_offers(self._models, draft))))

    def _write_prompt(self, draft: Draft) -> Draft:
        typed = self._asker.text("Prompt", draft.typed_prompt, _fault_in_typed_prompt, hint="(@path reads a file)")
        return replace(draft, typed_prompt=typed, prompt=prompt_of(typed))

    def _choose_lead(self, draft: Draft) -> Draft:
        # a pattern goes through all of its stages, whatever is wished
        is_pattern = any(one.name == draft.analysis_type and not one.built_in for one in self._types)
        offers = lead_offers(self._models, draft, may_be_nobody=not is_pattern)
        lead = self._asker.select("Who compares the answers?", offers)
        return replace(draft, lead_model=lead, is_merged=lead is not None)

    def _review(self, draft: Draft) -> Draft:
        """The draft, settled; each setting that is chosen is asked for, until it is to be sent."""
        while True:
            chosen = self._asker.select("Ready?", review_offers(draft))
            if chosen is Ready.SEND:
                return draft
            if chosen is Ready.START_OVER:
                raise StartOver
            try:
                draft = chosen.set(draft, self._value(chosen, draft))
            except Back:
                continue

    def _value(self, setting: Setting, draft: Draft) -> str:
        current = setting.value(draft)
        if setting.choices:
            offers = [Offer(value, words, is_chosen=value == current) for value, words in setting.choices]
            return self._asker.select(setting.label, offers)
        hint = f"(empty: {setting.unset})"
        return self._asker.text(setting.label, current, lambda typed: fault_in_option(setting.name, typed), hint=hint)


def _fault_in_typed_prompt(typed: str) -> str | None:
    try:
        return fault_in_prompt(prompt_of(typed))
    except PromptUnreadable as error:
        return str(error)
