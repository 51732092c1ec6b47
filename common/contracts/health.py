"""The wire shape of `/health`."""

from typing import Literal

from pydantic import BaseModel, Field

HealthStatus = Literal["healthy", "degraded", "unavailable"]


class Check(BaseModel):
    """One thing this depends on. `off` is what the settings switch off, or have no adapter for."""

    status: Literal["up", "down", "off"]
    detail: str | None = None


class Checks(BaseModel):
    """Everything that was looked at, each within two seconds."""

    database: Check
    broker: Check
    workers: dict[str, int] = Field(description="Live workers by queue; 0 where a needed queue has none.")
    providers: dict[str, Check]
    config: Check = Field(
        Check(status="up"),
        description="Catalog and patterns: `down` while an edit is wrong and the last good one serves.",
    )


class HealthDocument(BaseModel):
    """`healthy`: jobs are taken and run. `degraded`: jobs are taken, and run once what is down is back.
    `unavailable`: no job can be taken.
    """

    status: HealthStatus
    service: str = "ultrallm"
    version: str
    llm_provider: str = Field(description="Who answers as `ivy-orchestrator`: `local` or `claude`.")
    model: str = Field(description="The model of it, as its server calls it.")
    knowledge_agent_url: str | None = Field(
        description="Asked for documents first; without the password in it, if any."
    )
    checks: Checks


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"
