"""vLLM's worker under verl on a CPU: `rollout.engine_kwargs.vllm.worker_extension_cls`."""

from __future__ import annotations

from typing import Any

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

from pipelines.trainers.verl.plugin import overrides


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """verl's extension, in a vLLM whose weights can be loaded repeatedly."""

    def __new__(cls, **kwargs: Any) -> Any:
        overrides.disable_onednn()  # before the model is built
        return super().__new__(cls, **kwargs)
