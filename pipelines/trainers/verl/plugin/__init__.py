"""The plugin that runs inside verl 0.9.1, loaded by its `verl.plugins` entry point.

verl imports an entry point without calling it (verl/__init__.py), so the import registers everything. Every process that
imports verl imports this package: it must not import anything else the process does not need.

On every platform it registers the overrides for critics, weight sockets, tool metrics, ReMax, GDPO, validations, samples, the
checkpoints of SFT and of the legacy trainer; on a CPU also the platform, the engines, and the overrides that a CPU needs. verl
finds the other classes by their names in the configuration.
"""

from __future__ import annotations

import os
import sys


def register() -> None:
    """Configure this process according to the variables of the launch."""
    from pipelines.trainers.verl import attempt_files
    from pipelines.trainers.verl.plugin import overrides
    from pipelines.trainers.verl.plugin.overrides import after_import

    attempt_files.name_metrics_file()
    attempt_files.name_shared_memory()
    after_import("verl.utils.model", overrides.load_critic_with_configured_attention)
    after_import("verl.workers.rollout.vllm_rollout.bucketed_weight_transfer", overrides.move_weight_sockets)
    after_import("verl.trainer.ppo.v1.trainer_base", overrides.log_tool_calls)
    after_import("verl.trainer.ppo.v1.trainer_base", overrides.add_remax_baselines)
    after_import("verl.utils.checkpoint.checkpoint_handler", overrides.mark_sft_checkpoints)
    after_import("verl.trainer.ppo.ray_trainer", overrides.mark_legacy_checkpoints)
    after_import("verl.trainer.ppo.v1.trainer_base", overrides.pass_rewards_to_gdpo)
    after_import("verl.trainer.ppo.v1.trainer_base", overrides.keep_samples)
    after_import("verl.experimental.agent_loop.agent_loop", overrides.pass_on_reasons)
    after_import("verl.experimental.reward_loop.reward_loop", overrides.report_reasons)
    if os.environ.get(attempt_files.METRICS_FOLDER):
        after_import("verl.trainer.ppo.v1.trainer_base", overrides.save_validations)
    if attempt_files.NODES in os.environ:
        from pipelines.trainers.verl.network import choose_interface

        choose_interface()
    if os.environ.get("VERL_PLATFORM") == "cpu":
        from pipelines.trainers.verl.plugin import platform

        platform.register()
        overrides.deduplicate_gloo_backend()
        after_import("verl.workers.engine.fsdp.transformer_impl", platform.register_engines)
        after_import("verl.workers.engine.fsdp.transformer_impl", overrides.disable_pinned_memory)


try:
    register()
except Exception as error:
    # verl logs a failing plugin at debug level only, and would then fail with "Unknown platform 'cpu'".
    print(f"{__name__} cannot be loaded: {error!r}", file=sys.stderr)
    raise
