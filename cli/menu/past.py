"""Analyses of before: pages of them, and what can be done with one."""

from cli.following import Manner, follow, show_document
from cli.menu.asker import Asker, Back
from cli.menu.draft import Draft
from cli.menu.exchange import Exchange
from cli.menu.offers import NEWER, OLDER, action_offers, page_offers
from cli.terminal import output
from common.contracts.analyses import AnalysisDocument, AnalysisPage

PAGE_LINES = 10


class Past:
    """Browses and opens. Whoever wants to ask again gets a draft; None means that nothing more is wanted."""

    def __init__(self, asker: Asker, exchange: Exchange) -> None:
        self._asker = asker
        self._exchange = exchange

    def browse(self) -> Draft | None:
        """Page by page, newest first, until one is asked again or `Back` leads out."""
        cursors: list[str | None] = [None]
        while True:
            page = self._page(cursors[-1])
            offers = page_offers(page, is_first=len(cursors) == 1)
            if not offers:
                output().print("There are none yet.")
                return None
            chosen = self._asker.select("Past analyses", offers)
            if chosen == OLDER:
                cursors.append(page.next_cursor)
            elif chosen == NEWER:
                cursors.pop()
            elif draft := self.open(chosen):
                return draft

    def open(self, job_id: str) -> Draft | None:
        """Show one, as `ultra show` does, and stay with it."""
        show_document(self._exchange(lambda client: client.document(job_id)), Manner("text"))
        return self.stay_with(job_id)

    def watch(self, job_id: str, manner: Manner) -> None:
        """Show it as it runs, to its end. Ctrl-C leaves it running, and says how to come back."""
        try:
            self._exchange(lambda client: follow(client, job_id, manner))
        except Back:
            # not wrapped: the command is there to be copied
            output().out(f"It goes on. Find it under past analyses, or with: ultra show {job_id} --watch")

    def stay_with(self, job_id: str) -> Draft | None:
        """Ask what to do with it, until that leads away from it; `Back` does too."""
        while True:
            document = AnalysisDocument.model_validate(self._exchange(lambda client: client.document(job_id)))
            try:
                match self._asker.select(f"This analysis is {document.status}", action_offers(document)):
                    case "again":
                        return Draft.again(document)
                    case "watch":
                        self.watch(job_id, Manner("text"))
                    case "cancel":
                        self._exchange(lambda client: client.cancel(job_id))
                        self.watch(job_id, Manner("text"))
                    case "delete" if self._asker.confirm("Delete it, with its answers, for good?"):
                        self._exchange(lambda client: client.delete(job_id))
                        return None
                    case "back":
                        return None
            except Back:
                return None

    def _page(self, cursor: str | None) -> AnalysisPage:
        return self._exchange(lambda client: client.page(limit=PAGE_LINES, cursor=cursor))
