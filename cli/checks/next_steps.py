"""What to do when a model's server fails, beyond what the error says itself."""

from common.errors import AppError, NotServed, UpstreamModelMissing

COMMAND_CHECKS = """check:
· Docker runs: docker info
· the Model Runner is enabled: docker model status"""

SERVER_CHECKS = """check, in this order:
· Docker runs: docker info
· the Model Runner is enabled: docker desktop enable model-runner --tcp 12434 (Docker Desktop), \
docker model install-runner (Docker Engine)
· where it is a container, it is up: docker compose ps model-runner; docker compose logs model-runner
· the port is right: MODEL_RUNNER_URL is {url}
`ultra up` has a small one of its own."""


def next_step(provider: str, url: str | None, error: AppError, model_id: str | None = None) -> str:
    """`url` is where the provider's server is, None for one that runs as a command."""
    if isinstance(error, UpstreamModelMissing) and model_id is not None:
        return f"ultra models pull {model_id}"
    if provider == "docker_modelrunner" and url is None:
        return COMMAND_CHECKS
    if isinstance(error, NotServed):
        return "correct the setting that it names"
    if provider == "docker_modelrunner":
        return SERVER_CHECKS.format(url=url)
    if provider == "ollama":
        return f"start it with `ollama serve`, or correct OLLAMA_BASE_URL ({url})"
    return "see `ultra doctor`"
