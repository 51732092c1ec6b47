from typing import Any

from rich.console import Console

from cli.views.fleet import fleet_table, standing
from common.contracts.fleet import FleetStatus
from common.fleet.documents import status
from tests.unit.common.fleet.scripted_rows import local_model


def operation(**progress: Any) -> dict[str, Any]:
    known = {"phase": "pulling", "reason": None, "details": None}
    return {"model_id": "local-a", "status": "running", "progress": known | progress}


def test_a_standing_is_a_line() -> None:
    assert standing(operation()) == "local-a: pulling"
    details = {"done_bytes": 512 << 20, "total_bytes": 2048 << 20}
    assert standing(operation(details=details)) == "local-a: pulling 512 of 2,048 MiB"
    assert standing(operation(phase="queued", reason="Waits for memory.")) == "local-a: queued: Waits for memory."
    assert standing({"model_id": "local-a", "status": "queued", "progress": None}) == "local-a: queued"


def test_a_model_that_nobody_asked_for_is_in_the_table() -> None:
    found = status([local_model()], [], [], [])
    assert FleetStatus.model_validate(found.model_dump()) == found
    console = Console(width=120, file=None, record=True)
    with console.capture() as captured:
        console.print(fleet_table(found))
    assert captured.get().split()[-6:] == ["local-a", "stopped", "-", "-", "-", "-"]
