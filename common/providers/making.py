"""Making adapters: the one place that knows them all. Their SDKs are imported when they are first needed."""

import importlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values
from pydantic import SecretStr

from common.catalog.entry import ModelServer
from common.fleet.fleet import Fleet
from common.providers.http import Proxies
from common.providers.protocol import Provider
from common.reloading import Stamp, stamp
from common.settings import Settings, header_safe

if TYPE_CHECKING:
    from common.providers.local import Containers

DOT_ENV = Path(".env")


def make(name: str, server: ModelServer | None, settings: Settings) -> Provider:
    """The adapter of a provider; `server` is its entry of the catalog file, if it has one.

    Blocks for as long as its SDK takes to be imported, once a process.
    """
    proxies = Proxies.of(settings)
    module: Any = importlib.import_module(_module_of(name, settings))
    made: Provider
    if server is not None:
        key = variable(server.api_key_env) if server.api_key_env else None
        made = module.OpenAICompatible(name, server.base_url, key, proxies=proxies)
    elif name == "mock":
        made = module.MockProvider()
    elif name == "openai":
        made = module.OpenAICompatible(name, settings.openai_base_url, settings.openai_api_key, proxies=proxies)
    elif name == "anthropic":
        made = module.Anthropic(settings.anthropic_base_url, settings.anthropic_api_key, proxies=proxies)
    elif name == "google":
        made = module.Google(settings.google_base_url, settings.google_api_key, proxies=proxies)
    elif name == "ollama":
        made = module.Ollama(settings.ollama_base_url, proxies=proxies)
    elif settings.model_runner_type == "cli":
        made = module.ModelRunnerCli()
    else:
        made = module.OpenAICompatible(name, settings.model_runner_url, proxies=proxies)
    return made


def make_containers(fleet: Fleet) -> "Containers":
    """The adapters of models in containers. Blocks as `make` does."""
    from common.providers.local import Containers

    return Containers(fleet)


def variable(name: str) -> SecretStr | None:
    """The key in a variable of the environment, or of `.env` as everything else; None if it is no key."""
    value = os.environ.get(name) or _dot_env(stamp(DOT_ENV)).get(name)
    try:
        return header_safe(SecretStr(value)) if value else None
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _dot_env(_: Stamp | None) -> Mapping[str, str | None]:
    """What the file says as of this stamp. To read it takes milliseconds, and every request asks for a key."""
    return dotenv_values(DOT_ENV)


def _module_of(name: str, settings: Settings) -> str:
    if name == "docker_modelrunner" and settings.model_runner_type == "cli":
        name = "model_runner_cli"
    elif name not in {"mock", "anthropic", "google", "ollama"}:
        name = "openai_compatible"
    return f"common.providers.{name}"
