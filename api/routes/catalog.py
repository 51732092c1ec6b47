"""What can be asked for: models and analysis types."""

import asyncio

from fastapi import APIRouter, Response

from api.dependencies import ReaderDep, RuntimeDep
from api.openapi import problems
from api.responses import document
from common import pricing
from common.catalog.catalog import Catalog
from common.catalog.entry import ModelEntry
from common.contracts.analysis_types import AnalysisTypes, analysis_types
from common.contracts.models import ModelDocument, ModelList
from common.providers.registry import Providers

router = APIRouter(tags=["Catalog"])


@router.get("/api/models", summary="List models", response_model=ModelList, responses=problems())
async def list_models(runtime: RuntimeDep, caller: ReaderDep) -> Response:  # noqa: ARG001  # who may read
    """Every model of the catalog. Answered from the catalog: no model's server is asked."""
    await asyncio.to_thread(pricing.load)
    catalog = runtime.catalog
    entries = catalog.entries.values()
    return document(ModelList(data=[model_document(entry, catalog, runtime.providers) for entry in entries]))


@router.get("/api/analysis-types", summary="List analysis types", response_model=AnalysisTypes, responses=problems())
async def list_analysis_types(runtime: RuntimeDep, caller: ReaderDep) -> Response:  # noqa: ARG001  # who may read
    """Every `analysis_type` that a submission may name: those built in, and the patterns of this installation."""
    return document(AnalysisTypes(data=analysis_types(runtime.patterns)))


def model_document(entry: ModelEntry, catalog: Catalog, providers: Providers) -> ModelDocument:
    """What callers see of a catalog entry."""
    is_available, reason = providers.availability(entry)
    return ModelDocument(
        id=entry.id,
        aliases=list(catalog.aliases_of(entry.id)),
        provider=entry.provider,
        local=entry.local,
        default=entry.id in catalog.default_models,
        available=is_available,
        reason=reason,
        state=None,
        context_window=entry.context_window,
        capabilities=list(entry.capabilities),
        fallbacks=[],
        price=pricing.price_of(entry),
        description=entry.description,
    )
