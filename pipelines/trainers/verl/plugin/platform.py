"""The CPU as a platform of verl, through its registries of platforms and engines; gloo is the communication backend."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _device_module() -> types.ModuleType:
    """Return `torch.cpu` with the functions that verl calls on `torch.cuda`; memory is not counted."""
    module = types.ModuleType("verl_cpu_device")
    module.__dict__.update({name: value for name, value in vars(torch.cpu).items() if not name.startswith("_")})
    ignored = ["empty_cache", "ipc_collect", "reset_peak_memory_stats", "reset_accumulated_memory_stats"]
    ignored += ["set_per_process_memory_fraction", "set_device", "manual_seed", "manual_seed_all"]
    counters = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")
    functions: dict[str, Any] = {
        **dict.fromkeys(ignored, _nothing),
        **dict.fromkeys(counters, lambda *_, **__: 0),
        "is_available": lambda: False,
        "device_count": lambda: 1,
        "mem_get_info": lambda *_: (1, 1),
        "get_device_name": lambda *_: "cpu",
        "current_device": lambda: torch.device("cpu"),
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
    }
    module.__dict__.update(functions)
    return module


class PlatformCPU(PlatformBase):
    """One torch device named `cpu`, declared to Ray once per data-parallel worker."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # never detected; VERL_PLATFORM=cpu selects it

    def current_device(self) -> torch.device:
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed
    set_device = synchronize = set_allocator_settings = empty_cache = profiler_start = profiler_stop = cudart = _nothing

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"  # Ray writes the declared GPUs' numbers into it; verl distinguishes its workers by them

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def ray_resource_name(self) -> str:
        return "GPU"  # declared in ray_kwargs.ray_init.num_gpus; verl's placement groups support only GPU and NPU

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False  # weights go to vLLM through POSIX shared memory


def register() -> None:
    """Register the platform as `cpu`."""
    if PlatformRegistry.get("cpu") is None:
        PlatformRegistry.register(platform="cpu")(PlatformCPU)


def register_engines() -> None:
    """Register verl's FSDP engines for `cpu`: verl registers them for cuda and npu, but their code fits any device."""
    from verl.workers.engine.base import EngineRegistry
    from verl.workers.engine.fsdp import transformer_impl

    EngineRegistry.register("language_model", ["fsdp", "fsdp2"], "cpu")(transformer_impl.FSDPEngineWithLMHead)
    EngineRegistry.register("value_model", ["fsdp", "fsdp2"], "cpu")(transformer_impl.FSDPEngineWithValueHead)
