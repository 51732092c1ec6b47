"""The models that a job turns to by its own wish: those of its request, and those that its pattern's author chose."""

from common.catalog.catalog import Catalog
from common.catalog.entry import ERROR_CLASSES, Fallbacks
from common.contracts.analyses import Analysis, AnalysisOptions, AnalysisRequest
from common.contracts.patterns import Pattern


def of_request(request: AnalysisRequest, catalog: Catalog) -> list[str]:
    """The ids of the models that the caller asks by this, or leaves to our defaults.

    Raises:
        ModelNotFound: lists the nearest names.
    """
    names = [*(request.models or catalog.default_models)]
    names.append(request.lead_model or catalog.default_lead or names[0])
    return [*(catalog.resolve(name).id for name in names), *_in_chains(fallback_ids(request.options, catalog))]


def of_analysis(analysis: Analysis) -> list[str]:
    """The same of a request that was resolved."""
    return [*(model.id for model in analysis.models), analysis.lead_model, *_in_chains(analysis.routing.fallbacks)]


def of_pattern(pattern: Pattern | None) -> list[str]:
    """The names of models in the pattern's stages; none where a job has no pattern."""
    stages = pattern.stages if pattern else ()
    return [model for stage in stages if not isinstance(stage.models, str) for model in stage.models]


def fallback_ids(options: AnalysisOptions, catalog: Catalog) -> Fallbacks | None:
    """None leaves the catalog's chains as they are; nothing in them is no chain at all.

    Raises:
        ModelNotFound: lists the nearest names.
    """
    given = options.fallbacks
    if given is None:
        return None
    by_class = given if isinstance(given, dict) else dict.fromkeys(ERROR_CLASSES, given)
    return {one: tuple(catalog.resolve(name).id for name in names) for one, names in by_class.items() if names}


def _in_chains(fallbacks: Fallbacks | None) -> list[str]:
    return [model for chain in (fallbacks or {}).values() for model in chain]
