"""Shrink a recipe: the same stages, trainers, algorithms, rewards, tools and data flow, at tiny size.

Every changed value is listed. `--set` is part of the recipe, so `--smoke` works with every command line; the platform that it
sets is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.models.folder import find_model_folder
from pipelines.recipe.evaluating import Evaluate
from pipelines.recipe.loading import Loaded, validate_tree
from pipelines.recipe.nodes import Loc
from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel
from pipelines.smoke.changes import REMOVED, Change, Changes
from pipelines.smoke.dropped_keys import dropped_llamafactory_keys, dropped_verl_keys
from pipelines.smoke.example_rows import shrink_data

_SFT_STEPS = 4
_PROMPTS = 4
_PROBLEMS = 4
_TOKENS = 64
_SHAPE = {"vocabulary": 1024, "hidden_size": 64, "layers": 2, "heads": 2}

# Pattern of model names -> family, for models whose configuration is not available.
_FAMILIES = {r"qwen-?3": "qwen3", r"qwen": "qwen2", r"llama|deepseek-coder|yi-|starcoder|granite|smollm": "llama"}

_TIE_BREAK_FILE = str(Path(__file__).with_name("tie_break.py"))
_TIE_BREAK = {"name": "tie_break", "file": _TIE_BREAK_FILE, "weight": 0.1, "data_source": "*"}


def shrink(loaded: Loaded) -> tuple[Loaded, list[Change]]:
    """Return the recipe at a size that two CPU cores train in minutes, and its changes."""
    recipe, changes = loaded.recipe, Changes(loaded.root)
    changes.set(("name",), f"{recipe.name[:58]}-smoke")
    on_cpu = recipe.hardware.platform != "cuda" or not loaded.where("hardware", "platform").startswith("--set")
    for key, value in (("platform", "cpu" if on_cpu else "cuda"), ("nodes", 1), ("gpus_per_node", 1)):
        if getattr(recipe.hardware, key) != value:
            changes.set(("hardware", key), value)
    changes.set(("environments",), REMOVED, "a smoke uses the pinned ones")
    changes.set(("trackers",), REMOVED, "smokes are not tracked")
    changes.set(("notify",), REMOVED, "a smoke is watched")
    _shrink_model(changes, recipe)
    if recipe.evaluate is not None:
        _shrink_evaluations(changes, recipe.evaluate)
    for index, stage in enumerate(recipe.stages):
        place: Loc = ("stages", index)
        changes.set((*place, "hardware"), REMOVED, "a smoke uses one device")
        where = f"{loaded.where('stages', stage.name, 'data')}: stages.{stage.name}.data"
        for key, new, why, shown in shrink_data(stage.data, where):
            changes.set((*place, "data", *key.split(".")), new, why, shown)
        if stage.lora is not None and stage.lora.target != "all" and _may_have_other_layers(recipe):
            changes.set((*place, "lora", "target"), "all", "the tiny model may have other layers")
        if isinstance(stage, SftStage):
            _shrink_sft(changes, stage, place, on_cpu)
        else:
            _shrink_rl(changes, stage, place)
        # On a GPU too, keys of larger sizes are removed.
        for path, why in dropped_verl_keys(stage, recipe, on_cpu):
            changes.set((*place, "verl", *path), REMOVED, why)
        if isinstance(stage, SftStage):
            for path, why in dropped_llamafactory_keys(stage, on_cpu):
                changes.set((*place, "llamafactory", *path), REMOVED, why)
        if stage.init_from is not None and stage.init_from not in [each.name for each in recipe.stages]:
            changes.set((*place, "init_from"), REMOVED, "a smoke has one tiny model")
            changes.set((*place, "revision"), REMOVED, "a smoke has one tiny model")
    return validate_tree(changes.root, loaded.path), changes.made


def _may_have_other_layers(recipe: Recipe) -> bool:
    """Return whether the tiny model may not have the architecture of the recipe's model, which is not on this machine."""
    return isinstance(recipe.model, str) and find_model_folder(recipe.model) is None


def _shrink_model(changes: Changes, recipe: Recipe) -> None:
    if isinstance(recipe.model, TinyModel):
        return
    name = Path(recipe.model).name if Path(recipe.model).is_absolute() else recipe.model
    family = next((kind for pattern, kind in _FAMILIES.items() if re.search(pattern, name, re.IGNORECASE)), "qwen2")
    longest = max(
        stage.max_tokens if isinstance(stage, SftStage) else stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
        for stage in recipe.stages
    )
    tiny = {"make": family, "like": recipe.model, **_SHAPE, "max_tokens": max(1024, longest)}
    changes.set(("model",), tiny, shown=(recipe.model, f"a tiny {family} like it"))
    changes.set(("revision",), REMOVED, "of the model's name")


def _shrink_evaluations(changes: Changes, evaluate: Evaluate) -> None:
    place: Loc = ("evaluate",)
    changes.set((*place, "limit"), min(evaluate.limit or _PROBLEMS, _PROBLEMS))
    changes.set((*place, "max_tokens"), min(evaluate.max_tokens or _TOKENS, _TOKENS))
    changes.limit((*place, "samples"), evaluate.samples, 2)
    if evaluate.require:
        changes.set((*place, "require"), REMOVED, "an untrained model reaches nothing")


def _shrink_length(changes: Changes, stage: SftStage | RlStage, place: Loc, steps: int, period: int) -> None:
    """Limit the number of steps, and the periods of saving and validating if they are set."""
    if stage.epochs is not None:
        changes.replace_key((*place, "epochs"), (*place, "steps"), steps)
    changes.limit((*place, "steps"), stage.steps, steps)
    changes.limit((*place, "save_every"), stage.save_every, period)
    changes.limit((*place, "validate_every"), stage.validate_every, period)


def _shrink_sft(changes: Changes, stage: SftStage, place: Loc, on_cpu: bool) -> None:
    _shrink_length(changes, stage, place, _SFT_STEPS, _SFT_STEPS // 2)
    changes.limit((*place, "batch", "per_device"), stage.batch.per_device, 2)
    changes.limit((*place, "batch", "accumulate"), stage.batch.accumulate, 2)
    changes.limit((*place, "max_tokens"), stage.max_tokens, 2048)
    if stage.packing and stage.trainer == "verl" and on_cpu:
        changes.set((*place, "packing"), False, "verl packs rows on GPUs only")


def _shrink_rl(changes: Changes, stage: RlStage, place: Loc) -> None:
    _shrink_length(changes, stage, place, 2, 1)
    one_update = stage.batch.prompts // stage.batch.mini == 1
    batch, rollout = (*place, "batch"), (*place, "rollout")
    changes.limit((*batch, "prompts"), stage.batch.prompts, _PROMPTS)
    changes.limit((*batch, "mini"), stage.batch.mini, _PROMPTS if one_update else _PROMPTS // 2)
    changes.limit((*batch, "micro_per_gpu"), stage.batch.micro_per_gpu, 2)
    changes.limit((*rollout, "samples"), stage.rollout.samples, max(2, stage.method.samples))
    changes.limit((*place, "validation", "samples"), stage.validation.samples, 2)
    changes.limit((*rollout, "max_response_tokens"), stage.rollout.max_response_tokens, 128)
    changes.limit((*rollout, "tensor_parallel"), stage.rollout.tensor_parallel, 1)
    if stage.critic is not None:
        changes.limit((*place, "critic", "warmup_steps"), stage.critic.warmup_steps, 1)
    rewards = [each.model_dump(exclude_defaults=True) for each in stage.rewards]
    names = " and ".join(each["name"] for each in rewards)
    why = "an untrained model has the same score for every response"
    changes.set((*place, "reward"), [*rewards, _TIE_BREAK], why, (names, f"{names} and tie_break"))
