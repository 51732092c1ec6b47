import pynvml
import pytest

from common.catalog.catalog import Catalog
from common.catalog.local import LocalModel
from common.errors import ConfigError
from common.settings import Settings
from tests.unit.worker.lifecycle.nvml_script import Card, NvmlScript
from worker.lifecycle.nvml import Nvml
from worker.pinning import gpu_kind, pin

TWO = (Card("GPU-a"), Card("GPU-b", name="NVIDIA L4"))


def settings(**said: str) -> Settings:
    return Settings(_env_file=None, **said)


def catalog(**slots: int) -> Catalog:
    entries = {
        f"local-{name}": LocalModel.model_validate(
            {
                "id": f"local-{name}",
                "source": {"path": name},
                "engine": "transformers",
                "memory": "1 GiB",
                "gpu": "none" if name.startswith("host") else "auto",
                "slots": count,
            }
        )
        for name, count in slots.items()
    }
    return Catalog(entries, {})


async def test_a_worker_is_pinned_by_uuid() -> None:
    script = NvmlScript(*TWO)
    gpu = await pin(settings(), 1, Nvml(script))
    assert gpu is not None
    kind = gpu_kind("node", 1, gpu, catalog())
    assert (kind.queues, kind.gpu, kind.gpu_queue, kind.does_sweep) == (("gpu.node.1",), "GPU-b", "gpu.node.1", False)
    assert not script.is_open  # it makes calls, and holds no driver


@pytest.mark.parametrize(
    ("said", "script", "complaint"),
    [
        ({}, NvmlScript(*TWO), r"no GPU 2 here. There is 0 \(NVIDIA H200\), 1 \(NVIDIA L4\)\. GPU_ENABLED=false"),
        ({"cuda_visible_devices": "0"}, NvmlScript(*TWO), r"no GPU 2 here. There is 0 \(NVIDIA H200\)\. "),
        (
            {"cuda_visible_devices": "-1"},
            NvmlScript(*TWO),
            "no GPU 2 here. CUDA_VISIBLE_DEVICES names none that is there. ",
        ),
        (
            {},
            NvmlScript(fault=pynvml.NVML_ERROR_DRIVER_NOT_LOADED),
            "no GPU 2 here. NVML finds no GPU: Driver Not Loaded. ",
        ),
        ({"gpu_enabled": "true"}, NvmlScript(fault=pynvml.NVML_ERROR_DRIVER_NOT_LOADED), "NVML finds no GPU: Driver"),
    ],
)
async def test_a_gpu_that_is_not_there_stops_its_worker_with_what_is(
    said: dict[str, str], script: NvmlScript, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await pin(settings(**said), 2, Nvml(script))


async def test_with_gpus_disabled_a_worker_starts_and_no_call_is_sent_to_it() -> None:
    script = NvmlScript(*TWO)
    assert await pin(settings(gpu_enabled="false"), 7, Nvml(script)) is None
    assert gpu_kind("node", 7, None, catalog()).gpu is None
    assert script.openings == 0


@pytest.mark.parametrize(
    ("slots", "threads"),
    [({}, 4), ({"a": 8, "b": 16, "host": 100}, 24), ({"a": 1}, 4), ({"a": 200, "b": 200}, 256)],
)
def test_it_has_threads_for_all_that_its_models_work_on_at_once(slots: dict[str, int], threads: int) -> None:
    assert gpu_kind("node", 0, None, catalog(**slots)).threads == threads
