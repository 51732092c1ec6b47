"""What can be asked for: models and analysis types."""

import asyncio

from fastapi import APIRouter, Response

from api.containers import container_models
from api.database import Database
from api.dependencies import ReaderDep, RuntimeDep
from api.openapi import problems
from api.responses import document
from common import pricing
from common.catalog.catalog import Catalog
from common.catalog.entry import ERROR_CLASSES, ModelEntry
from common.contracts.analysis_types import AnalysisTypes, analysis_types
from common.contracts.models import ModelDocument, ModelList
from common.errors import DependencyDown
from common.fleet import wishes
from common.fleet.contracts import State
from common.providers.registry import Providers

router = APIRouter(tags=["Catalog"])


@router.get("/api/models", summary="List models", response_model=ModelList, responses=problems())
async def list_models(runtime: RuntimeDep, caller: ReaderDep) -> Response:  # noqa: ARG001  # who may read
    """Every model of the catalog, and whether it runs if it is in a container. No model's server is asked."""
    await asyncio.to_thread(pricing.load)
    catalog = runtime.catalog
    states = await container_states(runtime.database, catalog)
    entries = catalog.entries.values()
    return document(
        ModelList(data=[model_document(entry, catalog, runtime.providers, states.get(entry.id)) for entry in entries])
    )


@router.get("/api/analysis-types", summary="List analysis types", response_model=AnalysisTypes, responses=problems())
async def list_analysis_types(runtime: RuntimeDep, caller: ReaderDep) -> Response:  # noqa: ARG001  # who may read
    """Every `analysis_type` that a submission may name: those built in, and the patterns of this installation."""
    return document(AnalysisTypes(data=analysis_types(runtime.patterns)))


async def container_states(database: Database, catalog: Catalog) -> dict[str, str]:
    """The states of the models in containers; none while Postgres is away, for the rest is known without it."""
    models = [entry.id for entry in container_models(catalog)]
    if not models:
        return {}
    try:
        rows = await database.fetch(wishes.look(models))
    except DependencyDown:
        return {}
    return dict.fromkeys(models, State.STOPPED.value) | {row["id"]: row["state"] for row in rows}


def model_document(
    entry: ModelEntry, catalog: Catalog, providers: Providers, state: str | None = None
) -> ModelDocument:
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
        state=state,
        context_window=entry.context_window,
        capabilities=list(entry.capabilities),
        fallbacks=list(dict.fromkeys(model for name in ERROR_CLASSES for model in entry.fallbacks.get(name, ()))),
        price=pricing.price_of(entry),
        description=entry.description,
    )
