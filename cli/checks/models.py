"""The catalog, the Model Runner, and the API that offers them."""

import httpx

from cli.checks.finding import Finding, fail, ok, warn
from cli.client import is_loopback
from cli.printable import printable
from common.catalog.catalog import Catalog

ANSWER_SECONDS = 5.0


def catalog_finding(catalog: Catalog) -> Finding:
    """What the catalog holds."""
    return ok("catalog", f"{len(catalog.entries)} models; asked by default: {', '.join(catalog.default_models)}")


async def model_runner(url: str, catalog: Catalog) -> list[Finding]:
    """Whether it answers, and whether it has the models that the catalog asks it for."""
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as http:
            response = await http.get(f"{url}/models")
            response.raise_for_status()
            served = {str(model["id"]) for model in response.json()["data"]}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return [fail("model runner", f"{url}: {reason}", "start it, correct MODEL_RUNNER_URL, or set USE_MOCK=true")]
    return [
        ok("model runner", f"{url} serves {printable(', '.join(sorted(served))) or 'nothing'}"),
        *_missing(served, catalog),
    ]


def _missing(served: set[str], catalog: Catalog) -> list[Finding]:
    wanted = {entry.name for entry in catalog.entries.values() if entry.provider == "docker_modelrunner"}
    missing = sorted(wanted - served)
    if not missing:
        return []
    pull = " && ".join(f"ultra models pull {name}" for name in missing)
    return [warn("models", f"in the catalog, but not there: {', '.join(missing)}", pull)]


async def api(url: str) -> Finding | None:
    """What `/health` says; None if nobody answers at all."""
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=not is_loopback(url)) as http:
            response = await http.get(f"{url}/health")
            health = response.json()
            status = health["status"]
    except (httpx.TransportError, httpx.InvalidURL):
        return None
    except (ValueError, KeyError, TypeError):
        return fail("api", f"{url}: something else listens there", "stop it, or set ULTRA_PORT")
    if response.is_success:
        return ok("api", f"{url}: {status}")
    return fail("api", f"{url}: {status}", f"see `checks` in {url}/health")
