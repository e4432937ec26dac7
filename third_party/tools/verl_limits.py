"""The values and ranges that verl, vLLM, PyTorch and transformers allow for verl's keys."""

from __future__ import annotations

from pathlib import Path

from limits import argument_bounds, arguments, assigned, compared, enumeration, field_bounds, fields, registered, stated
from rules import Rule, values

_DP = {"model_engine": ["dp"]}
_VLLM = {".name": ["vllm"]}


def rl_rules(source: Path, packages: Path) -> list[Rule]:
    """Return the rules for the keys of the PPO trainer.

    Args:
        source: The verl checkout.
        packages: The `site-packages` of its environment.
    """
    verl = source / "verl"
    return [
        *_shared(verl, packages),
        *_rollout(verl, packages / "vllm"),
        *_training(verl, packages),
        *_losses(verl / "trainer/ppo/core_algos.py", verl / "trainer/ppo/rollout_corr_helper.py"),
    ]


def sft_rules(source: Path, packages: Path) -> list[Rule]:
    """Return the rules for the keys of the SFT trainer; the arguments are those of `rl_rules`."""
    dataset = source / "verl/utils/dataset/multiturn_sft_dataset.py"
    handler = source / "verl/utils/checkpoint/checkpoint_handler.py"
    return [
        *_shared(source / "verl", packages),
        Rule("data.truncation", values(compared(dataset, "__init__", "truncation"))),
        Rule("trainer.resume_mode", values(compared(handler, "CheckpointHandler", "resume_mode"))),
        Rule("data.pad_mode", values(compared(dataset, "__init__", "pad_mode"))),
    ]


def _shared(verl: Path, packages: Path) -> list[Rule]:
    precision = verl / "utils/torch_dtypes.py"
    dtypes = values(str(each) for name in ("HALF_LIST", "FLOAT_LIST", "BFLOAT_LIST") for each in assigned(precision, name))
    engines = sorted((verl / "workers/engine").rglob("*.py"))
    optimizers = [
        name for name in assigned(packages / "torch/optim/__init__.py", "__all__") if name[0].isupper() and name != "Optimizer"
    ]
    adam = packages / "torch/optim/adam.py"
    attention = assigned(packages / "transformers/modeling_utils.py", "_global_mapping")
    fsdp = verl / "workers/engine/fsdp/transformer_impl.py"
    contents = verl / "utils/checkpoint/checkpoint_manager.py"
    ratio = stated(fsdp, "num_warmup_steps = int(num_warmup_steps_ratio * total_steps)", {"minimum": 0, "maximum": 1})
    return [
        Rule("*trainer.logger", values([*assigned(verl / "utils/tracking.py", "supported_backend"), "tracking"])),
        Rule("*model.external_lib", {"type": ["null", "string", "array"], "items": "string"}),
        Rule("*model.model_type", values(registered(engines, "EngineRegistry.register", "model_type"), open=True)),
        Rule("*optim.optimizer", values(optimizers), {".optimizer_impl": ["torch.optim"], **_DP}),
        Rule("*optim.weight_decay", argument_bounds(adam, "Adam", "__init__", "weight_decay")),
        Rule("*optim.betas", {**argument_bounds(adam, "Adam", "__init__", "betas"), "length": 2}),
        Rule("*optim.lr", argument_bounds(adam, "Adam", "__init__", "lr")),
        Rule("*optim.lr_warmup_steps_ratio", ratio),
        Rule("*checkpoint.save_contents", values(compared(contents, "BaseCheckpointManager", "checkpoint_save_contents"))),
        Rule("*checkpoint.load_contents", values(compared(contents, "BaseCheckpointManager", "checkpoint_load_contents"))),
        Rule(
            "*fused_kernel_options.impl_backend",
            values(
                compared(verl / "models/transformers/monkey_patch.py", "patch_forward_with_backends", "fused_kernels_backend")
            ),
        ),
        Rule("*profiler.tool", values(compared(verl / "workers/engine_workers.py", "__init__", "tool"))),
        Rule("*qat.mode", values(enumeration(verl / "utils/qat/linear.py", "QATMode"), any_case=True)),
        Rule("*qat.activation_observer", values(compared(verl / "utils/qat/linear.py", "QATLinear", "activation_observer"))),
        Rule("*model.override_config", values(["eager", *attention], also="/"), inside="attn_implementation"),
        Rule(
            "*fsdp_config.model_dtype *fsdp_config.dtype critic.fsdp.model_dtype critic.fsdp.dtype engine.model_dtype "
            "engine.dtype",
            dtypes,
        ),
        *(
            Rule("*fsdp_config.mixed_precision critic.fsdp.mixed_precision engine.mixed_precision", dtypes, inside=name)
            for name in compared_names(fsdp, ("param_dtype", "reduce_dtype", "buffer_dtype"))
        ),
    ]


def compared_names(file: Path, names: tuple[str, ...]) -> list[str]:
    """Return the names, after checking that the file reads each of them from a mapping."""
    for name in names:
        stated(file, f'mixed_precision_config.get("{name}"', {})
    return list(names)


def _rollout(verl: Path, vllm: Path) -> list[Rule]:
    replicas = registered([verl / "workers/rollout/replica.py"], "RolloutReplicaRegistry.register")
    modes = [each[1] for each in assigned(verl / "workers/rollout/base.py", "_ROLLOUT_REGISTRY")]
    agents = registered(sorted((verl / "experimental/agent_loop").glob("*_loop.py")), "register")
    parsers = registered([verl / "experimental/agent_loop/tool_parser.py"], "ToolParser.register")
    sampling = vllm / "sampling_params.py"
    rollout = "*.rollout"
    server = verl / "workers/rollout/vllm_rollout/vllm_async_server.py"
    served = vllm / "entrypoints/openai/cli_args.py"
    engine = fields(vllm / "engine/arg_utils.py", "EngineArgs") + fields(vllm / "engine/arg_utils.py", "AsyncEngineArgs")
    frontend = fields(served, "BaseFrontendArgs") + fields(served, "FrontendArgs")
    return [
        Rule(f"{rollout}.engine_kwargs", {"names": replicas}),
        # The pinned environments have different versions of vLLM: only near misses are mistakes in both.
        Rule(f"{rollout}.engine_kwargs", {"names": sorted({*engine, *frontend}), "open": True}, inside="vllm"),
        Rule(f"{rollout}.name", values(replicas, open=True)),
        Rule(f"{rollout}.mode", values(modes)),
        Rule(f"{rollout}.dtype", values(assigned(vllm / "config/model.py", "ModelDType")), _VLLM),
        Rule(
            f"{rollout}.load_format",
            values(assigned(vllm / "model_executor/model_loader/__init__.py", "LoadFormats"), open=True),
            _VLLM,
        ),
        Rule(f"{rollout}.logprobs_mode", values(assigned(vllm / "config/model.py", "LogprobsMode")), _VLLM),
        Rule(f"{rollout}.scheduling_policy", values(assigned(vllm / "config/scheduler.py", "SchedulerPolicy")), _VLLM),
        Rule(f"{rollout}.quantization", values(assigned(server, "_SUPPORTED_QUANTIZATION")), _VLLM),
        Rule(f"{rollout}.max_num_seqs", field_bounds(vllm / "config/scheduler.py", "SchedulerConfig", "max_num_seqs"), _VLLM),
        Rule(
            f"{rollout}.max_num_batched_tokens",
            field_bounds(vllm / "config/scheduler.py", "SchedulerConfig", "max_num_batched_tokens"),
            _VLLM,
        ),
        Rule(
            f"{rollout}.gpu_memory_utilization",
            field_bounds(vllm / "config/cache.py", "CacheConfig", "gpu_memory_utilization"),
            _VLLM,
        ),
        *(
            Rule(
                f"{rollout}.{name} {rollout}.val_kwargs.{name}",
                argument_bounds(sampling, "SamplingParams", "_verify_args", name),
                {"actor_rollout_ref.rollout.name": ["vllm"]},
            )
            for name in ("temperature", "top_p", "top_k")
        ),
        Rule(
            f"{rollout}.repetition_penalty",
            argument_bounds(sampling, "SamplingParams", "_verify_args", "repetition_penalty"),
            _VLLM,
        ),
        Rule(f"{rollout}.agent.default_agent_loop", values(agents, open=True), {".agent_loop_config_path": [None]}),
        Rule(f"{rollout}.multi_turn.format", values(parsers, open=True)),
        Rule(
            f"{rollout}.multi_turn.tool_response_truncate_side",
            values(
                [
                    *compared(
                        verl / "experimental/agent_loop/tool_agent_loop.py", "ToolAgentLoop", "tool_response_truncate_side"
                    ),
                    "middle",
                ]
            ),
        ),
        Rule(
            f"{rollout}.multi_turn.tokenization_sanity_check_mode",
            values(enumeration(verl / "workers/rollout/schemas.py", "TokenizationSanityCheckModeEnum")),
        ),
        Rule(f"{rollout}.trace.backend", values(compared(verl / "utils/rollout_trace.py", "init", "backend"))),
        Rule(
            f"{rollout}.checkpoint_engine.backend",
            values(
                registered(sorted((verl / "checkpoint_engine").glob("*.py")), "CheckpointEngineRegistry.register"), open=True
            ),
            {".custom_backend_module": [None]},
        ),
    ]


def _training(verl: Path, packages: Path) -> list[Rule]:
    storages = sorted((packages / "transfer_queue/storage/managers").glob("*.py"))
    engines = sorted((verl / "workers/engine").rglob("*.py"))
    managers = registered(sorted((verl / "experimental/reward_loop/reward_manager").glob("*.py")), "register") + registered(
        sorted((verl / "experimental/reward_loop/reward_manager").glob("*.py")), "register_manager"
    )
    replay = verl / "trainer/ppo/v1/replay_buffer.py"
    return [
        Rule("ray_kwargs.ray_init", {"names": arguments(packages / "ray/_private/worker.py", "init")}),
        Rule(
            "actor_rollout_ref.actor.strategy actor_rollout_ref.ref.strategy critic.strategy",
            values(registered(engines, "EngineRegistry.register", "backend"), open=True),
        ),
        Rule("reward.reward_manager.name", values(managers, open=True), {".source": ["register"]}),
        Rule(
            "reward.reward_manager.source", values(compared(verl / "workers/config/reward.py", "RewardManagerConfig", "source"))
        ),
        Rule(
            "trainer.v1.trainer_mode",
            values(registered(sorted((verl / "trainer/ppo/v1").glob("*.py")), "register_trainer"), open=True),
        ),
        Rule("trainer.v1.sampler.max_off_policy_strategy", values(compared(replay, "__init__", "max_off_policy_strategy"))),
        Rule(
            "transfer_queue.backend.storage_backend",
            values(registered(storages, "StorageManagerFactory.register"), open=True),
        ),
        Rule("trainer.resume_mode", values(compared(verl / "trainer/ppo/v1/trainer_base.py", "PPOTrainer", "resume_mode"))),
        Rule("data.truncation", values(compared(verl / "utils/torch_functional.py", "postprocess_data", "truncation"))),
        Rule("data.gen_batch_size", {"type": ["null", "integer"], "minimum": 1}),
    ]


def _losses(algorithms: Path, correction: Path) -> list[Rule]:
    estimators = [each for each in compared(algorithms, "kl_penalty_forward", "kl_penalty") if each != "full"]
    losses = algorithms.parent.parent / "distillation/losses.py"
    return [
        Rule("*policy_loss.loss_mode", values(registered([algorithms], "register_policy_loss"), open=True)),
        Rule("algorithm.adv_estimator", values(enumeration(algorithms, "AdvantageEstimator"), open=True)),
        Rule("critic.loss_agg_mode", values(compared(algorithms, "agg_loss", "loss_agg_mode"))),
        Rule("*.kl_loss_type algorithm.kl_penalty", values([*estimators, *(f"{each}+" for each in estimators)])),
        Rule(
            "*.clip_ratio_c",
            stated(algorithms, "assert clip_ratio_c > 1.0", {"exclusiveMinimum": 1}),
            {".policy_loss.loss_mode": ["vanilla"]},
        ),
        Rule("algorithm.kl_ctrl.type", values(compared(algorithms, "get_kl_controller", "type"))),
        Rule("algorithm.pf_ppo.reweight_method", values(compared(algorithms, "compute_weights", "reweight_method"))),
        Rule("*rollout_correction.loss_type", values(compared(algorithms, "compute_policy_loss_bypass_mode", "loss_type"))),
        Rule(
            "*rollout_correction.rollout_is", values(compared(correction, "compute_rollout_correction_weights", "rollout_is"))
        ),
        Rule(
            "*rollout_correction.rollout_rs",
            values(sorted(assigned(correction, "SUPPORTED_ROLLOUT_RS_OPTIONS")), separator=","),
        ),
        Rule(
            "distillation.distillation_loss.loss_mode",
            values(registered([losses], "DistillationLossSettings", "names"), open=True),
        ),
    ]
