"""From settings to an engine. Engines are imported when they are asked for: an image may hold one of them."""

from runner.engines.protocol import Engine
from runner.faults import LoadFailed
from runner.settings import Settings


async def load(settings: Settings) -> Engine:
    """The engine that the settings name, its model loaded.

    Raises:
        Fatal: it cannot be; the kind says what to change.
    """
    try:
        if settings.engine == "llamacpp":
            from runner.engines import llamacpp

            return await llamacpp.load(settings)
        from runner.engines.pretrained import engine

        return await engine.load(settings)
    except ModuleNotFoundError as error:
        raise LoadFailed(f"This image has no {settings.engine} engine: {error}. Use one that has.") from error
