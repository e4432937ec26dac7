"""verl on NVIDIA GPUs: bfloat16 where verl has it, PyTorch's own attention unless the recipe asks for flash-attn."""

from __future__ import annotations

from pipelines.errors import InputError
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.trainers.verl.nested import Settings, look_up, unfold

ENVIRONMENT: dict[str, str] = {}


def settings(stage: RlStage, recipe: Recipe) -> Settings:
    """What GPUs need beyond the stage itself."""
    model = _model(stage, "actor_rollout_ref.model")
    critic = {"critic": {"strategy": "fsdp2", "model": _model(stage, "critic.model")}}
    longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    several = recipe.hardware.nodes > 1
    return {
        "actor_rollout_ref": {
            "model": model,
            "actor": {"strategy": "fsdp2"},
            "rollout": {"dtype": "bfloat16", "max_num_batched_tokens": max(longest, 8192)},
        },
        **(critic if stage.method.critic else {}),
        "trainer": {"device": "cuda"},
        # On several machines the Ray cluster is there already; on one, verl starts it, even where RAY_ADDRESS names another.
        "ray_kwargs": {"ray_init": {"address": "auto"} if several else {"address": "local", "include_dashboard": False}},
    }


def sft_settings(stage: SftStage) -> Settings:
    """What GPUs need of supervised fine-tuning.

    Raises:
        InputError: the stage wants rows packed, and not flash-attn.
    """
    model = _model(stage, "model")
    if stage.packing and not model["use_remove_padding"]:
        raise InputError(
            f"stage {stage.name}: packing: verl packs rows with flash-attn; say "
            "`verl: {model.override_config.attn_implementation: flash_attention_2}`, or take `trainer: llamafactory`"
        )
    return {"model": model, "engine": {"strategy": "fsdp2"}, "trainer": {"device": "cuda"}}


def _model(stage: RlStage | SftStage, path: str) -> Settings:
    """How the model attends; verl's own default is flash_attention_2, which an environment need not have.

    Removing the padding between rows takes flash-attn's kernels for rows of different lengths.
    """
    attention = look_up(unfold(stage.verl), f"{path}.override_config.attn_implementation", "sdpa")
    return {
        "override_config": {"attn_implementation": attention},
        "use_remove_padding": str(attention).startswith("flash"),
    }
