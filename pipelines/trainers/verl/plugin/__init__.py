"""What runs inside verl 0.9.1, brought in by its `verl.plugins` entry point.

verl loads an entry point but does not call it (verl/__init__.py), so importing this package is what registers. It is
imported in every process that imports verl, therefore it imports nothing that the process might not need. On a GPU it
changes five things: how a critic is loaded, that a step's metrics say what became of the tool's calls, that ReMax's
baseline is answered, that GDPO sees each reward, and what becomes of checkpoints of supervised fine-tuning.
"""

from __future__ import annotations

import os
import sys


def register() -> None:
    """Fits this process to the variables that the launch set."""
    from pipelines.trainers.verl import attempt_files
    from pipelines.trainers.verl.plugin import overrides
    from pipelines.trainers.verl.plugin.after_import import after_import

    attempt_files.name_metrics_file()
    attempt_files.name_shared_memory()
    after_import("verl.utils.model", overrides.load_critic_with_chosen_attention)
    after_import("verl.trainer.ppo.v1.trainer_base", overrides.log_tool_calls)
    after_import("verl.trainer.ppo.v1.trainer_base", overrides.answer_greedily_for_remax)
    after_import("verl.utils.checkpoint.checkpoint_handler", overrides.mark_checkpoints_of_fine_tuning)
    after_import("verl.trainer.ppo.v1.trainer_base", overrides.hand_gdpo_each_reward)
    if os.environ.get("VERL_PLATFORM") == "cpu":
        from pipelines.trainers.verl.plugin import platform

        platform.register()
        overrides.accept_gloo_for_both_devices()
        after_import("verl.workers.engine.fsdp.transformer_impl", _register_engines)
        after_import("verl.workers.rollout.vllm_rollout.bucketed_weight_transfer", overrides.keep_weight_sockets_apart)


def _register_engines() -> None:
    from pipelines.trainers.verl.plugin import engines, overrides

    engines.register()
    overrides.keep_offloaded_weights_unpinned()


try:
    register()
except Exception as error:
    # verl logs a plugin that fails at debug level only, and would then end with "Unknown platform 'cpu'".
    print(f"{__name__} cannot be loaded: {error!r}", file=sys.stderr)
    raise
