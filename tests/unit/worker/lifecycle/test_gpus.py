import logging
import threading
from collections.abc import Mapping

import pynvml
import pytest

from common.errors import ConfigError
from common.fleet.contracts import Gpu
from common.settings import Settings
from tests.unit.worker.lifecycle.nvml_script import GIB, RESERVED_BYTES, Card, NvmlScript
from worker.lifecycle.gpus import NoGpus, NvmlGpus, open_gpus, visible
from worker.lifecycle.nvml import Nvml


def settings(**said: str) -> Settings:
    return Settings(_env_file=None, **said)


async def opened(script: NvmlScript, *, named: str | None = None) -> NvmlGpus:
    gpus = NvmlGpus(Nvml(script), named, patience_seconds=60)
    await gpus.open()
    return gpus


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_gpu_is_told_with_what_everybody_takes_of_it_the_driver_included() -> None:
    gpus = await opened(NvmlScript(Card("GPU-a"), Card("GPU-b", total=24 * GIB, used=3 * GIB, utilisation=25)))
    first, second = await gpus.read()
    assert first == Gpu("GPU-a", 0, "NVIDIA H200", 80 * GIB, RESERVED_BYTES, 0.0)
    assert second == Gpu("GPU-b", 1, "NVIDIA H200", 24 * GIB, 3 * GIB + RESERVED_BYTES, 0.25)


@pytest.mark.parametrize("fault", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
async def test_without_a_driver_there_is_no_gpu_and_that_is_said_once(
    fault: int, caplog: pytest.LogCaptureFixture
) -> None:
    gpus = await opened(NvmlScript(fault=fault))
    assert [await gpus.read() for _ in range(3)] == [(), (), ()]
    assert errors_of(caplog) == [f"NVML finds no GPU: {pynvml.NVMLError(fault)}"]


async def test_a_driver_that_comes_later_is_found() -> None:
    script = NvmlScript(Card("GPU-a"), fault=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    gpus = await opened(script)
    script.fault = None
    assert [gpu.uuid for gpu in await gpus.read()] == ["GPU-a"]


async def test_a_gpu_that_fell_off_the_bus_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    script = NvmlScript(Card("GPU-a"), Card("GPU-b"))
    gpus = await opened(script)
    script.cards[0].is_lost = True
    for _ in range(3):
        assert [(gpu.uuid, gpu.index) for gpu in await gpus.read()] == [("GPU-b", 1)]
    assert errors_of(caplog) == ["GPU 0 is left out: GPU is lost", "GPU 0, NVIDIA H200 (GPU-a), is gone"]


async def test_a_gpu_that_came_back_is_there_again() -> None:
    script = NvmlScript(Card("GPU-a"))
    gpus = await opened(script)
    script.cards[0].is_lost = True
    assert await gpus.read() == ()
    openings = script.openings
    script.cards[0].is_lost = False
    assert [gpu.uuid for gpu in await gpus.read()] == ["GPU-a"]
    assert script.openings > openings  # who had it open would never see it again


async def test_a_moments_trouble_loses_no_gpu(caplog: pytest.LogCaptureFixture) -> None:
    script = NvmlScript(Card("GPU-a"))
    gpus = await opened(script)
    script.cards[0].troubles = [pynvml.NVML_ERROR_UNKNOWN]
    assert [gpu.uuid for gpu in await gpus.read()] == ["GPU-a"]
    assert errors_of(caplog) == []


async def test_the_parts_of_a_divided_gpu_are_counted_in_its_place() -> None:
    parts = [Card("MIG-1", 10 * GIB, utilisation=None), None, Card("MIG-2", 20 * GIB, utilisation=None)]
    gpus = await opened(NvmlScript(Card("GPU-a", parts=parts), Card("GPU-b", name="GeForce RTX 5090")))
    assert [(gpu.uuid, gpu.index, gpu.total_bytes, gpu.utilisation) for gpu in await gpus.read()] == [
        ("MIG-1", 0, 10 * GIB, None),
        ("MIG-2", 1, 20 * GIB, None),
        ("GPU-b", 2, 80 * GIB, 0.0),
    ]


async def test_a_driver_that_hangs_takes_no_gpu_away_and_no_pass_waits_for_it_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = NvmlScript(Card("GPU-a"))
    gpus = await opened(script)
    script.hanging = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpus, "_patience_seconds", 0.05)
        assert [gpu.uuid for gpu in await gpus.read()] == ["GPU-a"]
    for _ in range(2):
        assert [gpu.uuid for gpu in await gpus.read()] == ["GPU-a"]
    assert len(errors_of(caplog)) == 1

    script.cards[0].used = GIB
    script.hanging.set()
    assert gpus._asking is not None
    await gpus._asking
    assert script.readings == 2
    assert (await gpus.read())[0].used_bytes == GIB + RESERVED_BYTES
    assert errors_of(caplog)[1:] == ["NVML answers again"]


async def test_a_driver_that_hangs_at_the_start_stops_it_with_the_way_out() -> None:
    script = NvmlScript(Card("GPU-a"))
    script.hanging = threading.Event()
    try:
        with pytest.raises(ConfigError, match=r"NVML did not answer within 0\.05 s.*GPU_ENABLED=false"):
            await NvmlGpus(Nvml(script), patience_seconds=0.05).open()
    finally:
        script.hanging.set()


async def test_closing_lets_go_of_the_driver() -> None:
    script = NvmlScript(Card("GPU-a"))
    gpus = await opened(script)
    assert script.is_open
    await gpus.close()
    assert not script.is_open


@pytest.mark.parametrize(
    ("named", "seen"),
    [
        (None, "abc"),
        ("0,2", "ac"),
        ("2,0", "ac"),
        (" 1 , GPU-c", "bc"),
        ("GPU-a1", "a"),
        ("-1", ""),
        ("0,7,1", "a"),
        ("GPU-", ""),
        ("0,0", "a"),
        ("NVIDIA", ""),
    ],
)
def test_only_those_are_ours_that_cuda_would_see(named: str | None, seen: str) -> None:
    gpus = [Gpu(f"GPU-{letter}1", index, "x", GIB, 0) for index, letter in enumerate("abc")]
    assert "".join(gpu.uuid[4] for gpu in visible(gpus, named)) == seen


@pytest.mark.parametrize(
    ("said", "script", "fault"),
    [
        ({}, NvmlScript(fault=pynvml.NVML_ERROR_DRIVER_NOT_LOADED), "NVML finds no GPU: Driver Not Loaded"),
        ({"cuda_visible_devices": "3"}, NvmlScript(Card("GPU-a")), "CUDA_VISIBLE_DEVICES names none that is there"),
    ],
)
async def test_who_wants_a_gpu_does_not_start_without(said: Mapping[str, str], script: NvmlScript, fault: str) -> None:
    with pytest.raises(ConfigError, match=f"GPU_ENABLED is true, but {fault}"):
        await open_gpus(settings(gpu_enabled="true", **said), Nvml(script))
    assert not script.is_open
    found = await open_gpus(settings(**said), Nvml(script))
    assert await found.read() == ()


async def test_who_wants_none_does_not_look() -> None:
    script = NvmlScript(Card("GPU-a"))
    gpus = await open_gpus(settings(gpu_enabled="false"), Nvml(script))
    assert isinstance(gpus, NoGpus)
    assert await gpus.read() == ()
    assert script.openings == 0


def test_the_script_speaks_for_the_library_that_is_installed() -> None:
    names = [name for name in vars(NvmlScript) if name.startswith("nvml")]
    assert names
    assert all(callable(getattr(pynvml, name)) for name in names)
