"""Numbers of a recipe that do not match each other, the hardware or the model, which a trainer would refuse hours later.

verl 0.9.1, synchronous V1 trainer: utils/config.py `validate_config`; workers/engine_workers.py `train_mini_batch` and
`init_model`; workers/engine/utils.py `prepare_micro_batches`; workers/rollout/replica.py;
workers/rollout/vllm_rollout/vllm_async_server.py `_validate_configs`; models/transformers/monkey_patch.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pipelines.models import modules
from pipelines.models.folder import ModelInfo, find_model_folder, read_model_info
from pipelines.recipe import evaluating, model_overrides, plausibility, teaching, tracking, without_effect
from pipelines.recipe.nested import get_path
from pipelines.recipe.nodes import Loc
from pipelines.recipe.problems import Found, describe_value
from pipelines.recipe.schema import Hardware, Recipe, RlStage, SftStage, TinyModel
from pipelines.recipe.upstream_keys import templates
from rewards.suggestions import any_of, did_you_mean, suggestion

_OTHER_ENGINES = ("megatron", "torchtitan", "veomni")
_SAVED = ("model", "optimizer", "extra")
_MODELS = ("actor_rollout_ref.model", "critic.model")


def check(recipe: Recipe) -> Found:
    """Check every stage. Models are read if they are on this machine."""
    yield from _check_names(recipe)
    yield from plausibility.find_impossible(recipe)
    yield from teaching.find_useless(recipe)
    for index, stage in enumerate(recipe.stages):
        model = _read_model(recipe.base_model(stage), recipe.base_revision(stage))
        found = (
            _check_rl(stage, recipe.hardware_of(stage), model)
            if isinstance(stage, RlStage)
            else _check_sft(stage, recipe, model)
        )
        others = (_check_modules, without_effect.check, model_overrides.find_wrong_types)
        for loc, message in chain(found, *(each(stage, recipe) for each in others)):
            yield ("stages", index, *loc), message
    if recipe.evaluate is not None:
        for loc, message in evaluating.check(recipe.evaluate, {stage.kind for stage in recipe.stages}):
            yield ("evaluate", *loc), message
    for loc, message in tracking.check(recipe.trackers):
        yield ("trackers", *loc), message


def _check_names(recipe: Recipe) -> Found:
    """Check models that are not paths: they must be able to be hub names."""
    stages = [stage.name for stage in recipe.stages]
    models: list[tuple[Loc, Any]] = [(("model",), recipe.model)]
    models += [(("model", "like"), recipe.model.like)] if isinstance(recipe.model, TinyModel) else []
    models += [(("stages", index, "init_from"), stage.init_from) for index, stage in enumerate(recipe.stages)]
    for loc, name in models:
        if not isinstance(name, str) or name.startswith("/") or (loc[-1] == "init_from" and name in stages):
            continue
        owner, _, rest = name.partition("/")
        if match := re.fullmatch(r"(?:https?://huggingface\.co/|hf://)([\w.-]+/[\w.-]+)/?.*", name):
            yield loc, f"found {name!r}; did you mean {match[1]!r}?"
        elif "://" in name:
            yield loc, f"found {name!r}, expected a folder or a hub name (owner/name): download the model first"
        elif "@" in name or ":" in name:
            plain, revision = re.split("[:@]", name, maxsplit=1)
            yield loc, f"found {name!r}, expected a hub name; write {plain} and `revision: {revision}`"
        elif rest == "model" and owner in stages:
            yield loc, f"found {name!r}; the model of stage {owner} is `init_from: {owner}`"
        elif name in stages:
            yield loc, f"found {name!r}, which is a stage; expected a folder or a hub name (owner/name)"


def find_attention_for_gpus(recipe: Recipe) -> Found:
    """Yield the attention that a CPU does not have."""
    for index, stage in enumerate(recipe.stages):
        if isinstance(stage, SftStage) and str(given := stage.llamafactory.get("flash_attn")) in ("fa2", "fa3"):
            yield ("stages", index, "llamafactory", "flash_attn"), f"{given} is for GPUs; on a CPU, use sdpa or disabled"
        for group in (*_MODELS, "model"):
            loc = (*group.split("."), "override_config", "attn_implementation")
            value = get_path(stage.verl, ".".join(loc))
            if isinstance(value, str) and value.startswith("flash"):
                yield ("stages", index, "verl", *loc), f"{value} is for GPUs; on a CPU, use sdpa or eager"


def _read_model(model: str | TinyModel, revision: str | None) -> ModelInfo:
    if isinstance(model, TinyModel):
        return ModelInfo(model.heads, model.heads, model.max_tokens, chat_template=True)
    folder = find_model_folder(model, revision)
    return read_model_info(folder) if folder is not None else ModelInfo()


def _check_sft(stage: SftStage, recipe: Recipe, model: ModelInfo) -> Found:
    name = stage.template
    if stage.trainer != "llamafactory" or name is None:
        return
    followers = [each.name for each in recipe.stages if recipe.previous(each) is stage]
    if name not in templates():
        yield ("template",), f"LLaMA-Factory has no template {name!r}{suggestion(name, templates())}"
    elif templates()[name] and followers and model.chat_template is not False:
        yield (
            ("template",),
            f"{name} would replace the model's chat template, which stage {followers[0]} uses for its prompts; "
            "use one that keeps it, such as qwen, or null",
        )


def _check_modules(stage: SftStage | RlStage, recipe: Recipe) -> Found:
    """Check the names of the modules with adapters, if the model is on this machine."""
    targets = list(_read_targets(stage))
    names = [name for loc, name in targets if loc[0] == "lora"]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield ("lora", "target"), f"{name} is listed twice"
        elif name == "all" and len(names) > 1:
            yield ("lora", "target"), "all is every linear layer: remove the other names, or all"
    if all(name == "all" for _, name in targets):
        return
    model = recipe.base_model(stage)
    folder = None if isinstance(model, TinyModel) else find_model_folder(model, recipe.base_revision(stage))
    found = modules.TINY if isinstance(model, TinyModel) else modules.read_modules(folder) if folder else frozenset()
    for loc, name in targets:
        if found and name != "all" and not modules.matches(name, found):
            valid = ["all", *modules.short_names(found)]
            yield loc, f"the model has no module {name!r}{did_you_mean(name, valid) or f'; expected {any_of(valid)}'}"


def _read_targets(stage: SftStage | RlStage) -> Iterator[tuple[Loc, str]]:
    """Yield the modules that get adapters or are trained with them."""
    if stage.lora is not None:
        yield from ((("lora", "target"), name.strip()) for name in stage.lora.target.split(","))
    more = stage.llamafactory.get("additional_target") if isinstance(stage, SftStage) else None
    if isinstance(more, str):
        yield from ((("llamafactory", "additional_target"), name.strip()) for name in more.split(","))


@dataclass(frozen=True)
class _Worker:
    """A model in training: the actor or the critic."""

    group: tuple[str, ...]
    """Its group of keys in verl's configuration."""
    mini: int
    """Prompts per update."""
    mini_loc: Loc
    micro: int
    """Responses per forward pass."""
    micro_loc: Loc
    sequence_parallel: int
    """GPUs per sequence in training (Ulysses)."""
    dynamic: bool
    """Whether forward passes are filled by tokens instead of by a number of responses."""


def _read_worker(stage: RlStage, group: str, engine: str) -> _Worker:
    def read(key: str, field: str) -> tuple[int, Loc]:
        value = _count(stage, f"{group}.{key}")
        if value is not None:
            return value, ("verl", *group.split("."), key)
        return getattr(stage.batch, field), ("batch", field)

    # In verl, the older of two keys wins if it is above 1.
    sizes = [_count(stage, f"{group}.{place}ulysses_sequence_parallel_size") for place in ("", f"{engine}.")]
    dynamic = _get(stage, f"{group}.use_dynamic_bsz", _get(stage, "actor_rollout_ref.actor.use_dynamic_bsz", default=False))
    return _Worker(
        tuple(group.split(".")),
        *read("ppo_mini_batch_size", "mini"),
        *read("ppo_micro_batch_size_per_gpu", "micro_per_gpu"),
        next((size for size in sizes if size is not None and size > 1), 1),
        bool(dynamic),
    )


def _check_rl(stage: RlStage, hardware: Hardware, model: ModelInfo) -> Found:
    strategy = str(_get(stage, "actor_rollout_ref.actor.strategy", "fsdp2"))
    if strategy in _OTHER_ENGINES and (engine := _get(stage, "model_engine", "dp")) == "dp":
        yield (
            ("verl", "actor_rollout_ref", "actor", "strategy"),
            f"{strategy} requires `model_engine: {strategy}`, found {engine}",
        )
    if _get(stage, "trainer.v1.trainer_mode", "sync") != "sync" or not strategy.startswith("fsdp"):
        return  # other trainers and engines distribute the GPUs differently, and check it at the start
    gpus = hardware.nodes * hardware.gpus_per_node
    yield from _check_tensor_parallel(stage, hardware, model)
    longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    yield from _check_lengths(stage, longest)
    yield from _check_checkpoints(stage)
    yield from _check_variables(stage)
    if model.positions is not None and longest > model.positions:
        sizes = (f"{name} {getattr(stage.rollout, name)}" for name in ("max_prompt_tokens", "max_response_tokens"))
        positions = f"the model has {model.positions} positions (max_position_embeddings)"
        yield ("rollout", "max_response_tokens"), f"{' + '.join(sizes)} = {longest}, and {positions}"
    actor = _read_worker(stage, "actor_rollout_ref.actor", "fsdp_config")
    critic = _read_worker(stage, "critic", "fsdp") if stage.method.critic else actor
    if not actor.dynamic and stage.batch.prompts * stage.rollout.samples % gpus:
        unit = gpus // math.gcd(gpus, stage.rollout.samples)
        problem = f"{_responses(stage.batch.prompts, stage)} per step cannot be divided evenly among {_gpus(hardware)}"
        yield ("batch", "prompts"), f"{problem}; batch.prompts and batch.mini must be multiples of {unit}"
        return
    # A critic with the same sizes as the actor is not reported twice.
    for worker in {(each.mini, each.micro, each.sequence_parallel, each.dynamic): each for each in (critic, actor)}.values():
        yield from _check_worker(worker, stage, hardware, model)
    if not actor.dynamic and gpus % actor.sequence_parallel == 0:
        yield from _check_scoring(stage, gpus // actor.sequence_parallel)


def _check_lengths(stage: RlStage, longest: int) -> Found:
    """Check upstream lengths that must hold the longest prompt and response."""
    sizes = f"rollout.max_prompt_tokens + max_response_tokens is {longest}"
    given = _count(stage, "actor_rollout_ref.rollout.max_model_len")
    if given is not None and given < longest:
        yield ("verl", "actor_rollout_ref", "rollout", "max_model_len"), f"found {given}, and {sizes}"
    group = "actor_rollout_ref.actor"
    parallel = _count(stage, f"{group}.ulysses_sequence_parallel_size") or 1
    given = _count(stage, f"{group}.ppo_max_token_len_per_gpu")
    dynamic = _get(stage, f"{group}.use_dynamic_bsz", default=False) is True
    if dynamic and given is not None and given * parallel < longest:
        yield ("verl", *group.split("."), "ppo_max_token_len_per_gpu"), f"found {given}: a sequence does not fit, {sizes}"


def _check_checkpoints(stage: RlStage) -> Found:
    """Check that checkpoints have what a stage resumes from and exports."""
    for group in ("actor_rollout_ref.actor", "critic"):
        saved = _get(stage, f"{group}.checkpoint.save_contents", None)
        missing = [name for name in _SAVED if isinstance(saved, list) and name not in saved]
        if missing:
            message = f"{' and '.join(missing)} not found: a stage resumes from a complete checkpoint, {any_of(_SAVED)}"
            yield ("verl", *group.split("."), "checkpoint", "save_contents"), message.replace(" or ", " and ")


def _check_variables(stage: RlStage) -> Found:
    """Check the environment variables of verl's workers, of which Ray accepts only texts."""
    loc = ("ray_kwargs", "ray_init", "runtime_env", "env_vars")
    variables = _get(stage, ".".join(loc), {})
    if not isinstance(variables, Mapping):
        yield ("verl", *loc), f"found {describe_value(variables)}, expected a mapping of variables"
        return
    for name, value in variables.items():
        if not isinstance(value, str):
            yield ("verl", *loc, name), f"found {describe_value(value)}, expected text; put it in quotes"


def _check_worker(worker: _Worker, stage: RlStage, hardware: Hardware, model: ModelInfo) -> Found:
    gpus, parallel = hardware.nodes * hardware.gpus_per_node, worker.sequence_parallel
    loc = ("verl", *worker.group, "ulysses_sequence_parallel_size")
    if gpus % parallel:
        yield loc, f"{parallel} GPUs per sequence do not divide {_gpus(hardware)}; use {any_of(_divisors(parallel, gpus))}"
        return
    if model.heads is not None and model.heads % parallel:
        yield loc, f"{parallel} GPUs per sequence do not divide the model's {model.heads} attention heads"
    ranks = gpus // parallel
    among = _gpus(hardware) if parallel == 1 else f"{ranks} groups of {parallel} GPUs"
    responses = worker.mini * stage.rollout.samples
    if responses % ranks:
        step = ranks // math.gcd(ranks, stage.rollout.samples)
        whole = stage.batch.prompts
        valid = _neighbors(worker.mini, [each for each in range(step, whole + 1, step) if whole % each == 0])
        advice = f"use {any_of(valid)} prompts" if valid else f"it must be a multiple of {step}"
        yield worker.mini_loc, f"{_responses(worker.mini, stage)} per update cannot be divided evenly among {among}; {advice}"
    elif not worker.dynamic and (each := responses // ranks) % worker.micro:
        update = f"update ({_responses(worker.mini, stage)}, among {among})"
        yield worker.micro_loc, _not_divisible(worker.micro, each, update)


def _check_scoring(stage: RlStage, ranks: int) -> Found:
    """Check the forward passes that compute log-probabilities of the old and the reference policy."""
    each = stage.batch.prompts * stage.rollout.samples // ranks
    for group in ("rollout", "ref") if stage.kl is not None else ("rollout",):
        key = f"actor_rollout_ref.{group}.log_prob_micro_batch_size_per_gpu"
        micro = _count(stage, key)
        if micro is not None and each % micro:
            yield ("verl", *key.split(".")), _not_divisible(micro, each, "step")


def _check_tensor_parallel(stage: RlStage, hardware: Hardware, model: ModelInfo) -> Found:
    tensor, loc = stage.rollout.tensor_parallel, ("rollout", "tensor_parallel")
    copies = _count(stage, "actor_rollout_ref.rollout.data_parallel_size") or 1
    gpus, width = hardware.nodes * hardware.gpus_per_node, tensor * copies
    if gpus % width or (hardware.gpus_per_node % width and width % hardware.gpus_per_node):
        shared = f"{tensor} GPUs" if copies == 1 else f"{tensor} x data_parallel_size {copies} = {width} GPUs"
        valid = [each for each in _divisors(tensor, hardware.gpus_per_node) if copies == 1 or gpus % (each * copies) == 0]
        advice = f"; use {any_of(valid)}" if valid else ""
        yield loc, f"{shared} per copy of the model do not fit {_gpus(hardware)}{advice}"
    elif model.heads is not None and model.heads % tensor:
        advice = any_of(_divisors(tensor, math.gcd(model.heads, hardware.gpus_per_node)))
        yield loc, f"{tensor} GPUs do not divide the model's {model.heads} attention heads; use {advice}"
    elif (key_values := model.key_value_heads) is not None and key_values % tensor and tensor % key_values:
        yield loc, f"{tensor} GPUs neither divide the model's {key_values} key and value heads nor are a multiple of them"


def _get(stage: RlStage, key: str, default: Any) -> Any:
    """Return the value of a key in the stage's `verl:`, whose dotted keys are nested already; the default for a reference."""
    value = get_path(stage.verl, key, default)
    return default if isinstance(value, str) and "${" in value else value


def _count(stage: RlStage, key: str) -> int | None:
    """Return the value of a key that is a count; None if it is not set, or no count, which is reported elsewhere."""
    value = _get(stage, key, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _gpus(hardware: Hardware) -> str:
    if hardware.nodes == 1:
        return f"{hardware.gpus_per_node} GPU{'s' if hardware.gpus_per_node > 1 else ''}"
    return f"{hardware.nodes} x {hardware.gpus_per_node} GPUs"


def _responses(prompts: int, stage: RlStage) -> str:
    samples = stage.rollout.samples
    return f"{prompts} prompts x {samples} samples = {prompts * samples} responses"


def _not_divisible(micro: int, each: int, unit: str) -> str:
    advice = any_of(_divisors(micro, each))
    return f"{micro} responses per forward pass do not divide the {each} of each GPU per {unit}; use {advice}"


def _divisors(number: int, whole: int) -> list[int]:
    """Return the divisors of `whole` closest to `number`."""
    return _neighbors(number, [each for each in range(1, whole + 1) if whole % each == 0])


def _neighbors(number: int, options: list[int]) -> list[int]:
    """Return the closest options below and above a number."""
    return [*[each for each in options if each < number][-1:], *[each for each in options if each > number][:1]]
