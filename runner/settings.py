"""What the environment says, read once when the process starts."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.faults import LoadFailed
from runner.threads import available_threads

PREFIX = "ULTRA_"


class Settings(BaseModel):
    """One field a variable, `ULTRA_` and the field's name in capitals."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_id: Annotated[str, Field(min_length=1)]
    model_path: Annotated[str, Field(min_length=1)]
    engine: Annotated[str, Field(pattern="^(transformers|llamacpp)$")] = "transformers"
    context: Annotated[int, Field(ge=16)] = 4096
    """Tokens a call may have, prompt and answer together."""
    slots: Annotated[int, Field(ge=1, le=256)] = 4
    """Calls that are answered at once."""
    queue: Annotated[int, Field(ge=0, le=10_000)] = 64
    """Calls that may wait for a slot; the next one is refused."""
    dtype: str = "auto"
    trust_remote_code: bool = False
    threads: Annotated[int, Field(ge=1, le=1024)] = Field(default_factory=available_threads)
    deadline_seconds: Annotated[float, Field(gt=0)] = 600.0
    """The longest a call may take, its wait included."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    host: str = "0.0.0.0"  # noqa: S104  # a container's own address is what others reach
    port: Annotated[int, Field(ge=0, le=65535)] = 8000


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings; a variable that is set and empty counts as not set.

    Raises:
        LoadFailed: a value is wrong; the message names the variable.
    """
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    try:
        return Settings.model_validate({name: given[name] for name in Settings.model_fields if name in given})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise LoadFailed(f"{name}: {first['msg']}") from None
