"""verl's settings on a CPU: 32 bits everywhere, one small process per role."""

from __future__ import annotations

from pipelines.errors import SettingError
from pipelines.recipe.nested import Settings
from pipelines.recipe.schema import Recipe, RlStage, SftStage

ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # On a CPU, vLLM honours "uni" below only if this is off; its engine has a separate process either way.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # About ten processes share the cores; with more threads each they wait for each other, and sums round differently.
    "OMP_NUM_THREADS": "1",
    # Ray would pre-start a Python for each permit of ray_init.num_cpus; verl's actors cannot use them.
    "RAY_prestart_worker_first_driver": "0",
    # vLLM compiles parts of its sampler even in eager mode: 15 seconds of C++ compiler in the first step.
    "TORCHDYNAMO_DISABLE": "1",
}


def rl_settings(stage: RlStage, recipe: Recipe) -> Settings:
    """Return the settings that a CPU needs besides the stage's."""
    hardware = recipe.hardware_of(stage)
    workers = hardware.gpus_per_node
    longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    vllm = {"worker_extension_cls": "pipelines.trainers.verl.plugin.vllm_worker.CpuWorkerExtension"}
    if stage.rollout.tensor_parallel == 1:
        vllm["distributed_executor_backend"] = "uni"  # runs the worker in its engine's process: no other is started
    return {
        # FSDP1 refuses parameters on a CPU.
        "actor_rollout_ref": {
            "model": _model(),
            "actor": {"strategy": "fsdp2", "use_torch_compile": False, "fsdp_config": _engine()},
            "ref": {"strategy": "fsdp2", "use_torch_compile": False, "fsdp_config": _engine()},
            "rollout": {
                "dtype": "float32",
                "enforce_eager": True,
                # Sleep mode frees nothing: weights and cache share the memory of everything else.
                "free_cache_engine": False,
                "enable_sleep_mode": False,
                "max_model_len": longest,
                "max_num_seqs": 32,
                "max_num_batched_tokens": max(longest, 2048),
                # vLLM 0.27 rewinds a sample's generator after a partial prompt, which a CPU generator does not support.
                "enable_chunked_prefill": False,
                "agent": {"num_workers": 1},
                # The largest tensor must fit; unwritten pages of shared memory take no space.
                "checkpoint_engine": {"update_weights_bucket_megabytes": 1024},
                "engine_kwargs": {"vllm": vllm},
            },
        },
        **({"critic": {"strategy": "fsdp2", "model": _model(), "fsdp": _engine()}} if stage.method.critic else {}),
        "reward": {"num_workers": 1},
        # Counting the tokens of a few hundred prompts is faster than starting a process for it.
        "data": {"dataloader_num_workers": 0, "filter_overlong_prompts_workers": None},
        "transfer_queue": {"backend": {"SimpleStorage": {"num_data_storage_units": 1}}},
        "trainer": {"device": "cpu", "v1": {"sampler": {"sampler_kwargs": {"poll_interval": 0.2}}}},
        "ray_kwargs": {"ray_init": {"address": "auto"} if hardware.nodes > 1 else _own_ray(workers)},
    }


def sft_settings(stage: SftStage) -> Settings:
    """Return the settings that a CPU needs besides the stage's."""
    if stage.packing:
        raise SettingError(
            ("stages", stage.name, "packing"),
            "packing: verl packs rows with flash-attn, which a cpu does not have; remove it, or use `trainer: llamafactory`",
        )
    engine = {"strategy": "fsdp2", **_engine()}
    return {"data": {"num_workers": 0}, "model": _model(), "engine": engine, "trainer": {"device": "cpu"}}


def _own_ray(workers: int) -> Settings:
    return {
        "address": "local",  # even if RAY_ADDRESS names a cluster
        # Permits, not cores: verl's workers request three each, its helpers one.
        "num_cpus": 12 + 4 * workers,
        "num_gpus": workers,
        "include_dashboard": False,
        "object_store_memory": 200_000_000,
    }


def _model() -> Settings:
    attention = {"attn_implementation": "sdpa"}
    return {"override_config": attention, "use_remove_padding": False, "enable_gradient_checkpointing": False}


def _engine() -> Settings:
    """32 bits everywhere; compiling takes longer than a small training."""
    mixed = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    return {"model_dtype": "fp32", "dtype": "float32", "mixed_precision": mixed, "use_torch_compile": False}
