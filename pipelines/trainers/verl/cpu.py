"""verl on a machine with nothing but a CPU: everything in 32 bits, one small process per role."""

from __future__ import annotations

from pipelines.errors import InputError
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.trainers.verl.nested import Settings

_PLUGIN = "pipelines.trainers.verl.plugin"

ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # On a CPU, vLLM heeds "uni" below only when this is off; its engine keeps a process of its own all the same.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # Some ten processes share the cores; with more threads each they wait for each other, and sums come out otherwise.
    "OMP_NUM_THREADS": "1",
    # Ray would start a Python for each permit of ray_init.num_cpus ahead of time, none of which verl's actors can use.
    "RAY_prestart_worker_first_driver": "0",
    # vLLM compiles parts of its sampler even when eager: 15 seconds of C++ compiler in the first step.
    "TORCHDYNAMO_DISABLE": "1",
}


def settings(stage: RlStage, recipe: Recipe) -> Settings:
    """What a CPU needs beyond the stage itself.

    Raises:
        InputError: the recipe wants several machines.
    """
    if recipe.hardware.nodes > 1:
        raise InputError(f"hardware.nodes is {recipe.hardware.nodes}: on cpu a run stays on one machine")
    workers = recipe.hardware.gpus_per_node
    longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    return {
        # fsdp2, because FSDP1 refuses parameters on a CPU.
        "actor_rollout_ref": {
            "model": _model(),
            "actor": {"strategy": "fsdp2", "use_torch_compile": False, "fsdp_config": _engine()},
            "ref": {"strategy": "fsdp2", "use_torch_compile": False, "fsdp_config": _engine()},
            "rollout": {
                "dtype": "float32",
                "enforce_eager": True,
                # Nothing is freed by sleeping: weights and cache are in the same memory as everything else.
                "free_cache_engine": False,
                "enable_sleep_mode": False,
                "max_model_len": longest,
                "max_num_seqs": 32,
                "max_num_batched_tokens": max(longest, 2048),
                # vLLM 0.27 winds a sample's generator back after a partial prompt, which a CPU's generator cannot do.
                "enable_chunked_prefill": False,
                "agent": {"num_workers": 1},
                # The largest tensor must fit; pages of shared memory that are not written take no room.
                "checkpoint_engine": {"update_weights_bucket_megabytes": 1024},
                "engine_kwargs": {"vllm": _vllm(stage)},
            },
        },
        **({"critic": {"strategy": "fsdp2", "model": _model(), "fsdp": _engine()}} if stage.method.critic else {}),
        "reward": {"num_workers": 1},
        # Measuring a few hundred prompts takes less than starting a process for it.
        "data": {"dataloader_num_workers": 0, "filter_overlong_prompts_workers": None},
        "transfer_queue": {"backend": {"SimpleStorage": {"num_data_storage_units": 1}}},
        "trainer": {"device": "cpu", "v1": {"sampler": {"sampler_kwargs": {"poll_interval": 0.2}}}},
        "ray_kwargs": {
            "ray_init": {
                "address": "local",  # even where RAY_ADDRESS names a cluster
                # Not cores but permits: verl's workers ask for three each, and its helpers for one.
                "num_cpus": 12 + 4 * workers,
                "num_gpus": workers,
                "include_dashboard": False,
                "object_store_memory": 200_000_000,
            }
        },
    }


def sft_settings(stage: SftStage) -> Settings:
    """What a CPU needs of supervised fine-tuning.

    Raises:
        InputError: the stage wants rows packed.
    """
    if stage.packing:
        raise InputError(
            f"stage {stage.name}: packing: verl packs rows with flash-attn, which a cpu does not have; "
            "take it out, or take `trainer: llamafactory`"
        )
    return {
        "data": {"num_workers": 0},
        "model": _model(),
        "engine": {"strategy": "fsdp2", **_engine()},
        "trainer": {"device": "cpu"},
    }


def _vllm(stage: RlStage) -> Settings:
    options = {"worker_extension_cls": f"{_PLUGIN}.vllm_worker.CpuWorkerExtension"}
    # A single worker shares its engine's process, which saves the start of another.
    return options | ({"distributed_executor_backend": "uni"} if stage.rollout.tensor_parallel == 1 else {})


def _model() -> Settings:
    return {
        "override_config": {"attn_implementation": "sdpa"},
        "use_remove_padding": False,
        "enable_gradient_checkpointing": False,
    }


def _engine() -> Settings:
    """32 bits throughout; compiling takes longer than a small training."""
    return {
        "model_dtype": "fp32",
        "dtype": "float32",
        "mixed_precision": {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
        "use_torch_compile": False,
    }
