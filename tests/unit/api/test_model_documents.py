from pathlib import Path

from api.routes.catalog import model_document
from common.providers.registry import Providers
from tests.unit.common.catalogs import catalog, settings

CHAINED = """\
    defaults:
      models: [mock-a]
    models:
      mock-a: {fallbacks: {unavailable: [near, mock-c], rate_limited: [mock-c]}}
      mock-b: {aliases: [near]}
      mock-c:
"""


def test_a_model_is_shown_with_everybody_who_may_stand_in_for_it(tmp_path: Path) -> None:
    models = catalog(tmp_path, CHAINED)
    providers = Providers(settings(), lambda: models)
    shown = {name: model_document(entry, models, providers) for name, entry in models.entries.items()}
    assert shown["mock-a"].fallbacks == ["mock-c", "mock-b"]
    assert shown["mock-b"].fallbacks == []
    assert shown["mock-b"].aliases == ["near"]
