"""Numbers of a recipe that cannot work, and numbers that are unusual: most are slips, such as 1e6 for 1e-6."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

from pipelines.recipe import model_overrides
from pipelines.recipe.nested import leaves
from pipelines.recipe.nodes import Loc
from pipelines.recipe.problems import Found
from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel


@dataclass(frozen=True)
class Range:
    """A range of numbers, with or without its ends."""

    low: float = -math.inf
    high: float = math.inf
    why: str = ""
    """The effect of a number outside."""
    open: bool = False
    """Whether `low` is outside."""

    def holds(self, number: float) -> bool:
        """Return whether a number is in the range."""
        return (self.low < number if self.open else self.low <= number) and number <= self.high

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f"at most {self.high:.10g}"
        least = "more than" if self.open else "at least"
        return f"{least} {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"


# Field of a stage -> the numbers with which it can work.
_POSSIBLE: Mapping[str, Range] = {
    "learning_rate": Range(high=1),
    "critic.learning_rate": Range(high=1),
    "rollout.temperature": Range(high=2, why="vLLM refuses higher temperatures"),
    "validation.temperature": Range(high=2, why="vLLM refuses higher temperatures"),
}

# The same for upstream keys that the upstream does not check itself.
_SHARE = Range(0, 1)
_POSSIBLE_KEYS: Mapping[str, Mapping[str, Range]] = {
    "verl": {
        "algorithm.gamma": _SHARE,
        "algorithm.lam": _SHARE,
        "*.clip_ratio": Range(0),
        "*.clip_ratio_low": Range(0),
        "*.clip_ratio_high": Range(0),
        "*.cliprange_value": Range(0, open=True),
        "*.ppo_epochs": Range(1),
        "*optim.min_lr_ratio": _SHARE,
    },
    "llamafactory": {},
}

_RATES = {"sft": Range(1e-7, 1e-3), "rl": Range(1e-8, 1e-4)}
_TIME = Range(high=3600)
_USUAL: Mapping[str, Range] = {
    "epochs": Range(0.01, 100),
    "steps": Range(high=1e6),
    "rollout.temperature": Range(0.3, 1.5),
    "rollout.top_p": Range(0.5),
    "rollout.samples": Range(high=256),
    "rollout.gpu_memory": Range(0.1, 0.95),
    "rollout.max_prompt_tokens": Range(high=262144),
    "rollout.max_response_tokens": Range(high=262144),
    "max_tokens": Range(high=262144),
    "batch.prompts": Range(high=16384),
    "batch.micro_per_gpu": Range(high=1024),
    "batch.per_device": Range(high=1024),
    "batch.accumulate": Range(high=4096),
    "kl.coefficient": Range(1e-6, 1),
    "critic.learning_rate": Range(1e-7, 1e-3),
    "lora.rank": Range(high=1024),
    "lora.alpha": Range(high=8192),
    "validation.samples": Range(high=256),
    "tool.seconds": Range(0.1, 3600),
    "tool.max_turns": Range(high=200),
    "tool.concurrency": Range(high=1024),
    "max_reward_seconds": _TIME,
    "data.validation.fraction": Range(1e-5, 0.5, why="the rest is trained on"),
    "data.decontaminate.ngram": Range(high=100),
    "keep_samples": Range(high=100_000),
}
_USUAL_KEYS: Mapping[str, Mapping[str, Range]] = {
    "verl": {
        "*.clip_ratio": Range(high=0.5),
        "*.clip_ratio_low": Range(high=0.5),
        "*.clip_ratio_high": Range(high=0.5),
        "*.entropy_coeff": Range(-0.1, 0.1),
        "*optim.weight_decay": Range(high=1),
        "*optim.clip_grad": Range(0, 100, open=True),
        "*.grad_clip": Range(0, 100, open=True, why="gradients are not clipped at 0 or below"),
        "*optim.lr_warmup_steps_ratio": Range(high=0.5),
        "*.ppo_epochs": Range(high=10),
        "*.repetition_penalty": Range(0.5, 2),
        "algorithm.gamma": Range(0.9),
    },
    "llamafactory": {
        "weight_decay": Range(high=1),
        "max_grad_norm": Range(0, 100, open=True, why="gradients are not clipped at 0 or below"),
        "warmup_ratio": Range(high=0.5),
        "lora_dropout": Range(high=0.5),
        "neftune_noise_alpha": Range(high=50),
        "label_smoothing_factor": Range(high=0.5),
        "max_samples": Range(16, why="it limits the rows of the stage"),
        "dataloader_num_workers": Range(high=128),
        "preprocessing_num_workers": Range(high=256),
    },
}
# The same for fields outside the stages.
_POSSIBLE_OUTSIDE: Mapping[str, Range] = {
    "seed": Range(high=2**32 - 1, why="numpy's largest seed"),
    "evaluate.temperature": Range(high=2, why="vLLM refuses higher temperatures"),
}
_USUAL_OUTSIDE: Mapping[str, Range] = {
    "hardware.nodes": Range(high=1024),
    "hardware.gpus_per_node": Range(high=16),
    "sandbox.workers": Range(high=1024),
    "evaluate.samples": Range(high=256),
    "evaluate.max_tokens": Range(high=262144),
    "retries": Range(high=100),
    "stall_minutes": Range(0.01, 10080, why="minutes"),
    "launch.slurm.cpus": Range(high=1024),
    "launch.kuberay.cpus": Range(high=1024),
    "launch.kuberay.retries": Range(high=100),
    "model.layers": Range(high=128),
    "model.hidden_size": Range(high=16384),
    "model.max_tokens": Range(high=1_000_000),
}
# These clip the weight of a response, not the ratio of an update.
_OTHER_CLIPPING = ("cispo", "dppo_tv", "dppo_kl", "sapo", "gpg")


def find_impossible(recipe: Recipe) -> Found:
    """Yield the numbers with which a stage cannot train."""
    for loc, number, allowed in _fields_outside(recipe, _POSSIBLE_OUTSIDE):
        yield loc, f"found {number:.10g}, expected {allowed}{_reason(allowed)}"
    for index, stage in enumerate(recipe.stages):
        for loc, number, allowed in _outside(stage, _POSSIBLE, _POSSIBLE_KEYS):
            hint = _guess(number, _RATES[stage.kind]) if loc[-1] == "learning_rate" else ""
            yield ("stages", index, *loc), f"found {number:g}, expected {allowed}{_reason(allowed)}{hint}"
        critic = stage.critic if isinstance(stage, RlStage) else None
        if critic is not None and stage.steps is not None and critic.warmup_steps >= stage.steps:
            message = f"found {critic.warmup_steps}, and the stage has {stage.steps} steps: only the critic would be trained"
            yield ("stages", index, "critic", "warmup_steps"), message


def find_unusual(recipe: Recipe) -> Found:
    """Yield the numbers that are possible and outside the usual range."""
    for loc, number, allowed in _fields_outside(recipe, _USUAL_OUTSIDE):
        yield loc, f"found {number:g}; usual is {allowed}"
    for index, stage in enumerate(recipe.stages):
        usual = dict(_USUAL)
        rates, tiny = _RATES[stage.kind], isinstance(recipe.base_model(stage), TinyModel)
        usual["learning_rate"] = Range(rates.low) if tiny else rates
        for loc, number, allowed in _outside(stage, usual, _USUAL_KEYS):
            if not (
                isinstance(stage, RlStage) and stage.algorithm in _OTHER_CLIPPING and str(loc[-1]).startswith("clip_ratio")
            ):
                yield ("stages", index, *loc), f"found {number:g}; usual is {allowed}{_reason(allowed)}"
        others = (
            _find_longer_than_training(stage),
            _find_uninstalled(stage, recipe),
            model_overrides.find_unknown(stage, recipe),
        )
        for loc, message in chain.from_iterable(others):
            yield ("stages", index, *loc), message


def _find_longer_than_training(stage: SftStage | RlStage) -> Found:
    """Yield intervals and warm-ups that are longer than the stage."""
    if (steps := stage.steps) is None:
        return
    if stage.save_every is not None and stage.save_every > steps:
        message = f"found {stage.save_every}, and the stage has {steps} steps: an interrupted run starts it again"
        yield ("save_every",), message
    if stage.validate_every is not None and stage.validate_every > steps:
        yield ("validate_every",), f"found {stage.validate_every}, and the stage has {steps} steps"
    for loc, key, value in _upstream_numbers(stage):
        if key.rpartition(".")[2] in ("warmup_steps", "lr_warmup_steps") and value >= steps:
            yield loc, f"found {value:g}, and the stage has {steps} steps: the learning rate does not reach its peak"


def _find_uninstalled(stage: SftStage | RlStage, recipe: Recipe) -> Found:
    """Yield the attention whose package the pinned environment does not have."""
    for path, value in leaves(stage.verl) if recipe.environments.verl is None else ():
        if path[-1] == "attn_implementation" and str(value).startswith(("flash_attention_3", "flash_attention_4")):
            yield ("verl", *path), f"found {value}, whose package is not in the pinned environment"


def _outside(
    stage: SftStage | RlStage, fields: Mapping[str, Range], keys: Mapping[str, Mapping[str, Range]]
) -> Iterator[tuple[Loc, float, Range]]:
    yield from _fields_outside(stage, fields)
    for loc, key, value in _upstream_numbers(stage):
        for pattern, allowed in keys[stage.trainer].items():
            if fnmatchcase(key, pattern) and not allowed.holds(value):
                yield loc, value, allowed
                break


def _fields_outside(model: Recipe | SftStage | RlStage, fields: Mapping[str, Range]) -> Iterator[tuple[Loc, float, Range]]:
    for field, allowed in fields.items():
        value = _field(model, field)
        if _is_number(value) and not allowed.holds(value):
            yield tuple(field.split(".")), value, allowed


def _field(model: Recipe | SftStage | RlStage, path: str) -> Any:
    value: Any = model
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def _upstream_numbers(stage: SftStage | RlStage) -> Iterator[tuple[Loc, str, float]]:
    """Yield the location, dotted key and value of each number among the upstream keys."""
    section = stage.trainer
    for path, value in leaves(getattr(stage, section)):
        if _is_number(value):
            yield (section, *path), ".".join(path), value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reason(allowed: Range) -> str:
    return f": {allowed.why}" if allowed.why else ""


def _guess(number: float, usual: Range) -> str:
    """Return `; did you mean 1e-06?` for a number whose exponent lacks its sign."""
    exponent = math.floor(math.log10(number))
    meant = number / 10.0 ** (2 * exponent)
    return f"; did you mean {meant:g}?" if usual.holds(meant) else f"; usual is {usual}"
