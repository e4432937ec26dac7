"""verl's settings on NVIDIA GPUs: bfloat16 where verl uses it, PyTorch's attention unless the recipe chooses flash-attn."""

from __future__ import annotations

from pipelines.errors import SettingError
from pipelines.recipe.nested import Settings, get_path, unflatten
from pipelines.recipe.schema import Recipe, RlStage, SftStage


def rl_settings(stage: RlStage, recipe: Recipe) -> Settings:
    """Return the settings that GPUs need besides the stage's."""
    critic = {"critic": {"strategy": "fsdp2", "model": _model(stage, "critic.model")}}
    longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    several = recipe.hardware_of(stage).nodes > 1
    return {
        "actor_rollout_ref": {
            "model": _model(stage, "actor_rollout_ref.model"),
            "actor": {"strategy": "fsdp2"},
            "rollout": {"dtype": "bfloat16", "max_num_batched_tokens": max(longest, 8192)},
        },
        **(critic if stage.method.critic else {}),
        "trainer": {"device": "cuda"},
        # On several machines the Ray cluster is running already; on one, verl starts it, even if RAY_ADDRESS names another.
        "ray_kwargs": {"ray_init": {"address": "auto"} if several else {"address": "local", "include_dashboard": False}},
    }


def sft_settings(stage: SftStage) -> Settings:
    """Return the settings that GPUs need besides the stage's."""
    model = _model(stage, "model")
    if stage.packing and not model["use_remove_padding"]:
        raise SettingError(
            ("stages", stage.name, "packing"),
            "packing: verl packs rows with flash-attn; set "
            "`verl: {model.override_config.attn_implementation: flash_attention_2}`, or use `trainer: llamafactory`",
        )
    return {"model": model, "engine": {"strategy": "fsdp2"}, "trainer": {"device": "cuda"}}


def _model(stage: RlStage | SftStage, path: str) -> Settings:
    """Choose the attention; verl's default is flash_attention_2, which the environment may lack.

    Removing the padding between rows needs flash-attn's kernels for rows of different lengths.
    """
    attention = get_path(unflatten(stage.verl), f"{path}.override_config.attn_implementation", "sdpa")
    return {"override_config": {"attn_implementation": attention}, "use_remove_padding": str(attention).startswith("flash")}
