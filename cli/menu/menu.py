"""The top of the menu, and what keeps it going when the server says no."""

from cli.exits import CommandFailed
from cli.following import Manner, submit
from cli.menu.asker import Asker, Back, Leave, Offer
from cli.menu.composing import REVIEW, Composer
from cli.menu.draft import Draft
from cli.menu.exchange import Exchange
from cli.menu.offers import why_not
from cli.menu.past import Past
from cli.printable import printable
from cli.terminal import diagnostics, output
from cli.views.catalog import model_table
from common.contracts.analysis_types import AnalysisType, AnalysisTypes
from common.contracts.models import ModelDocument, ModelList

TOP = (
    Offer("new", "New analysis"),
    Offer("past", "Past analyses"),
    Offer("models", "Models"),
    Offer("leave", "Leave"),
)


class Menu:
    """Runs until the person leaves."""

    def __init__(self, asker: Asker, exchange: Exchange) -> None:
        self._asker = asker
        self._exchange = exchange
        self._past = Past(asker, exchange)

    def run(self) -> None:
        """Ask what to do and do it, over and over.

        Raises:
            CommandFailed: the server cannot be reached, or refuses us, to begin with. Later such faults
                are shown, and the menu goes on.
        """
        models = self._models()
        can_be_asked = sum(why_not(model) is None for model in models)
        output().print(f"{can_be_asked} of {len(models)} models can be asked. Ctrl-C goes back, Ctrl-D leaves.\n")
        while True:
            try:
                chosen = self._asker.select("What now?", TOP)
            except (Back, Leave):
                return
            try:
                match chosen:
                    case "new":
                        self._ask(Draft(), 0)
                    case "past":
                        if draft := self._past.browse():
                            self._ask(draft, REVIEW)
                    case "models":
                        output().print(model_table(self._models()))
                    case _:
                        return
            except Back:
                continue
            except Leave:
                return
            except CommandFailed as error:
                _say(error)

    def _ask(self, draft: Draft, step: int) -> None:
        """Compose, submit, watch; and again for as long as that is wanted."""
        while True:
            models = self._models()
            if all(why_not(model) for model in models):
                output().print(model_table(models))
                _say(CommandFailed("No model can be asked: the last column says what each of them needs."))
                return
            draft, step = Composer(self._asker, self._types(), models).compose(draft, step), REVIEW
            job_id = self._submit(draft)
            if job_id is None:
                continue
            self._past.watch(job_id, Manner(draft.output_format))
            again = self._past.stay_with(job_id)
            if again is None:
                return
            draft = again

    def _submit(self, draft: Draft) -> str | None:
        """The job's id; None if it was refused or interrupted, which is said: the draft is not lost."""
        try:
            return self._exchange(lambda client: submit(client, draft.request())).id
        except CommandFailed as error:
            _say(error)
        except Back:
            output().print("Interrupted: nothing was asked.")
        return None

    def _models(self) -> list[ModelDocument]:
        return ModelList.model_validate(self._exchange(lambda client: client.models())).data

    def _types(self) -> list[AnalysisType]:
        return AnalysisTypes.model_validate(self._exchange(lambda client: client.analysis_types())).data


def _say(error: CommandFailed) -> None:
    diagnostics().out(f"error: {printable(error.message)}")
