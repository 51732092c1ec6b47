"""What an ended job asks when it is submitted again."""

from uuid import UUID

from api import models_asked
from api.database import Row
from common.catalog.catalog import Catalog
from common.contracts.analyses import Analysis
from common.contracts.jobs import TERMINAL
from common.documents import is_analysis
from common.errors import InvalidInput, JobNotFinished, ModelGone, ModelNotFound


def asked_by(row: Row) -> Analysis:
    """The request of this job's row, as it was resolved then.

    Raises:
        InvalidInput: it was asked for otherwise.
    """
    if not is_analysis(row):
        raise InvalidInput("Operations are not submitted again: ask for the model anew.", field="job_id")
    return Analysis(**row["request"])


def again(row: Row, catalog: Catalog, job_id: UUID) -> Analysis:
    """The request of this job's row as it was resolved then, for the new job `job_id`.

    The pattern and the models are those of then, whatever aliases and defaults say now. A completed job may be
    asked again too: models answer differently each time, and who wants that needs no second copy of the prompt.

    Raises:
        JobNotFinished: there is nothing to repeat yet.
        ModelGone: names the models that left the catalog since.
    """
    if row["status"] not in TERMINAL:
        raise JobNotFinished
    analysis = asked_by(row).model_copy(update={"seed": str(job_id)})
    models = [*models_asked.of_analysis(analysis), *models_asked.of_pattern(analysis.pattern)]
    if gone := [model for model in dict.fromkeys(models) if not _is_known(model, catalog)]:
        raise ModelGone(gone)
    return analysis


def _is_known(model: str, catalog: Catalog) -> bool:
    try:
        catalog.resolve(model)
    except ModelNotFound:
        return False
    return True
