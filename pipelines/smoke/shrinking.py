"""Any recipe -> the same recipe, tiny: the same stages, trainers, algorithms, rewards, tools and way of the data.

What differs is told, value by value. `--set` is part of the recipe, so that --smoke can be put behind any command; only the
platform that it names stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.recipe.loading import Loaded, validate_tree
from pipelines.recipe.nodes import Loc
from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel
from pipelines.smoke.changes import REMOVED, Change, Changes
from pipelines.smoke.dropped_keys import cpu_settings, cpu_sft_settings, llamafactory_keys_left_out, verl_keys_left_out
from pipelines.smoke.example_rows import shrink_data

_SFT_STEPS = 4
_RL_STEPS = 2
_PROMPTS = 4
_SAMPLES = 2
_MICRO = 2
_SFT_TOKENS = 2048
_RESPONSE_TOKENS = 128
_SHAPE = {"vocabulary": 1024, "hidden_size": 64, "layers": 2, "heads": 2}

# By the names of models, for those whose configuration cannot be had.
_FAMILIES = {r"qwen-?3": "qwen3", r"qwen": "qwen2", r"llama|deepseek-coder|yi-|starcoder|granite|smollm": "llama"}

_TIE_BREAK = {
    "name": "tie_break",
    "file": str(Path(__file__).with_name("tie_break.py")),
    "weight": 0.1,
    "data_source": "*",
}


@dataclass(frozen=True)
class Smoke:
    """A tiny recipe, and what about it is otherwise."""

    loaded: Loaded
    changes: tuple[Change, ...]


def shrink(loaded: Loaded) -> Smoke:
    """The recipe as two CPU cores train it in minutes.

    Raises:
        InputError: a source is not here and has no example, or the recipe asks for what a CPU cannot do.
    """
    recipe, changes = loaded.recipe, Changes(loaded.root)
    changes.put(("name",), f"{recipe.name[:58]}-smoke")
    on_cpu = recipe.hardware.platform != "cuda" or not loaded.where("hardware", "platform").startswith("--set")
    for key, value in (("platform", "cpu" if on_cpu else "cuda"), ("nodes", 1), ("gpus_per_node", 1)):
        if getattr(recipe.hardware, key) != value:
            changes.put(("hardware", key), value)
    changes.put(("environments",), REMOVED, "a smoke has the pinned ones")
    _shrink_model(changes, recipe)
    for index, stage in enumerate(recipe.stages):
        place: Loc = ("stages", index)
        _shrink_data(changes, loaded, stage, place)
        if isinstance(stage, SftStage):
            _shrink_sft(changes, stage, place, on_cpu)
        else:
            _shrink_rl(changes, stage, recipe, place, on_cpu)
        if stage.init_from is not None and stage.init_from not in [each.name for each in recipe.stages]:
            changes.put((*place, "init_from"), REMOVED, "a smoke has one tiny model")
    return Smoke(validate_tree(changes.root, loaded.path, loaded.files), tuple(changes.told))


def _shrink_model(changes: Changes, recipe: Recipe) -> None:
    if isinstance(recipe.model, TinyModel):
        return
    name = Path(recipe.model).name if Path(recipe.model).is_absolute() else recipe.model
    family = next((kind for pattern, kind in _FAMILIES.items() if re.search(pattern, name, re.IGNORECASE)), "qwen2")
    longest = max(_longest(stage) for stage in recipe.stages)
    tiny = {"make": family, "like": recipe.model, **_SHAPE, "max_tokens": max(1024, longest)}
    changes.put(("model",), tiny, shown=(recipe.model, f"a tiny {family} like it"))


def _longest(stage: SftStage | RlStage) -> int:
    if isinstance(stage, SftStage):
        return stage.max_tokens
    return stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens


def _shrink_data(changes: Changes, loaded: Loaded, stage: SftStage | RlStage, place: Loc) -> None:
    where = f"{loaded.where('stages', stage.name, 'data')}: stages.{stage.name}.data"
    for key, value, why, shown in shrink_data(stage.data, where):
        changes.put((*place, "data", *key.split(".")), value, why, shown)


def _shrink_rhythm(changes: Changes, stage: SftStage | RlStage, place: Loc, steps: int, rhythm: int) -> None:
    """How long it trains, and how often it saves and validates, where it does."""
    if stage.epochs is not None:
        changes.swap((*place, "epochs"), (*place, "steps"), steps)
    elif stage.steps is not None:
        changes.at_most((*place, "steps"), stage.steps, steps)
    for key, value in (("save_every", stage.save_every), ("validate_every", stage.validate_every)):
        if value is not None:
            changes.at_most((*place, key), value, rhythm)


def _shrink_sft(changes: Changes, stage: SftStage, place: Loc, on_cpu: bool) -> None:
    _shrink_rhythm(changes, stage, place, _SFT_STEPS, _SFT_STEPS // 2)
    changes.at_most((*place, "batch", "per_device"), stage.batch.per_device, 2)
    changes.at_most((*place, "batch", "accumulate"), stage.batch.accumulate, 2)
    changes.at_most((*place, "max_tokens"), stage.max_tokens, _SFT_TOKENS)
    if stage.packing and stage.trainer == "verl" and on_cpu:
        changes.put((*place, "packing"), False, "verl packs rows on GPUs")
    for path, why in verl_keys_left_out(stage.verl, cpu_sft_settings(stage), on_cpu):
        changes.put((*place, "verl", *path), REMOVED, why)
    for path, why in llamafactory_keys_left_out(stage.llamafactory, on_cpu):
        changes.put((*place, "llamafactory", *path), REMOVED, why)


def _shrink_rl(changes: Changes, stage: RlStage, recipe: Recipe, place: Loc, on_cpu: bool) -> None:
    _shrink_rhythm(changes, stage, place, _RL_STEPS, 1)
    updates = stage.batch.prompts // stage.batch.mini
    for key, value in (
        ("prompts", _PROMPTS),
        ("mini", _PROMPTS if updates == 1 else _PROMPTS // 2),
        ("micro_per_gpu", min(stage.batch.micro_per_gpu, _MICRO)),
    ):
        changes.at_most((*place, "batch", key), getattr(stage.batch, key), value)
    rollout = (*place, "rollout")
    changes.at_most((*rollout, "samples"), stage.rollout.samples, max(_SAMPLES, stage.method.samples))
    changes.at_most((*rollout, "max_response_tokens"), stage.rollout.max_response_tokens, _RESPONSE_TOKENS)
    changes.at_most((*rollout, "tensor_parallel"), stage.rollout.tensor_parallel, 1)
    if stage.critic is not None:
        changes.at_most((*place, "critic", "warmup_steps"), stage.critic.warmup_steps, 1)
    rewards = [each.model_dump(exclude_defaults=True) for each in stage.rewards]
    names = " and ".join(each["name"] for each in rewards)
    why = "a model that knows nothing scores alike with every answer"
    changes.put((*place, "reward"), [*rewards, _TIE_BREAK], why, (names, f"{names} and tie_break"))
    # Loading has nested the keys.
    for path, why in verl_keys_left_out(stage.verl, cpu_settings(stage, recipe), on_cpu):
        changes.put((*place, "verl", *path), REMOVED, why)
