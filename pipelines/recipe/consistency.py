"""Numbers of a recipe that do not fit each other, the hardware or the model: what a trainer would refuse hours later.

verl 0.9.1, synchronous V1 trainer: utils/config.py `validate_config`; workers/engine_workers.py `train_mini_batch` and
`init_model`; workers/engine/utils.py `prepare_micro_batches`; workers/rollout/replica.py;
workers/rollout/vllm_rollout/vllm_async_server.py `_validate_configs`; models/transformers/monkey_patch.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.models.folder import ModelInfo, find_model_folder, read_model_info
from pipelines.recipe.chat_templates import check_template
from pipelines.recipe.nodes import Loc, Step
from pipelines.recipe.schema import Hardware, Recipe, RlStage, SftStage, TinyModel
from rewards.suggestions import any_of

Found = Iterator[tuple[Loc, str]]
"""The place of what does not fit, and the message."""


def check(recipe: Recipe) -> Found:
    """What does not fit, stage by stage. Of models it reads what is on this machine."""
    for index, stage in enumerate(recipe.stages):
        model = _describe_first_model(recipe, index)
        found = check_rl(stage, recipe.hardware, model) if isinstance(stage, RlStage) else _check_sft(recipe, index, model)
        for place, message in found:
            yield ("stages", index, *place), message


def _describe_first_model(recipe: Recipe, index: int) -> ModelInfo:
    model = find_first_model(recipe, index)
    if isinstance(model, TinyModel):
        return ModelInfo(model.heads, model.heads, model.max_tokens, chat_template=True)
    folder = find_model_folder(model)
    return read_model_info(folder) if folder is not None else ModelInfo()


def find_first_model(recipe: Recipe, index: int) -> str | TinyModel:
    """The model that the models before a stage were trained from, whose size and shape it has."""
    names = [stage.name for stage in recipe.stages]
    while (start := recipe.stages[index].init_from) is not None or index > 0:
        if start is not None and start not in names[:index]:
            return start
        index = names.index(start) if start is not None else index - 1
    return recipe.model


def _check_sft(recipe: Recipe, index: int, model: ModelInfo) -> Found:
    stage = recipe.stages[index]
    assert isinstance(stage, SftStage)
    if stage.trainer == "llamafactory":
        after = next((each.name for place, each in enumerate(recipe.stages) if _starts_from(recipe, place) == index), None)
        if message := check_template(stage.template, after, model.chat_template):
            yield ("template",), message


def _starts_from(recipe: Recipe, index: int) -> int | None:
    """The stage whose model a stage begins with."""
    names, start = [stage.name for stage in recipe.stages], recipe.stages[index].init_from
    if start is None:
        return index - 1 if index else None
    return names.index(start) if start in names else None


@dataclass(frozen=True)
class _Worker:
    """One of verl's models in training."""

    place: tuple[Step, ...]
    """Its group of keys in verl's configuration, below the stage's `verl`."""
    mini: int
    """Prompts per update."""
    mini_place: tuple[Step, ...]
    micro: int
    """Responses in one forward pass."""
    micro_place: tuple[Step, ...]
    sequence_parallel: int
    dynamic: bool
    """Whether forward passes are filled by tokens, not by a number of responses."""


def check_rl(stage: RlStage, hardware: Hardware, model: ModelInfo) -> Found:
    """What of a stage verl would refuse.

    Args:
        model: what is known of the model that it begins with.
    """
    strategy = str(_said(stage, "actor_rollout_ref.actor.strategy", "fsdp2"))
    if _said(stage, "trainer.v1.trainer_mode", "sync") != "sync" or not strategy.startswith("fsdp"):
        return  # other trainers and engines share the GPUs out in other ways, and tell when they begin
    gpus = hardware.nodes * hardware.gpus_per_node
    yield from _check_tensor_parallel(stage, hardware, model)
    yield from _check_positions(stage, model)
    actor = _actor(stage)
    critic = _critic(stage) if stage.method.critic else actor
    sizes = {(each.mini, each.micro, each.sequence_parallel, each.dynamic): each for each in (critic, actor)}
    if not actor.dynamic and stage.batch.prompts * stage.rollout.samples % gpus:
        unit = gpus // math.gcd(gpus, stage.rollout.samples)
        yield (
            ("batch", "prompts"),
            f"{_responses(stage.batch.prompts, stage)} per step cannot be shared out evenly among {_gpus(hardware)}; "
            f"batch.prompts and batch.mini have to be multiples of {unit}",
        )
        return
    for worker in sizes.values():
        yield from _check_worker(worker, stage, hardware, model)
    if not actor.dynamic and gpus % actor.sequence_parallel == 0:
        yield from _check_scoring(stage, gpus // actor.sequence_parallel)


def _check_worker(worker: _Worker, stage: RlStage, hardware: Hardware, model: ModelInfo) -> Found:
    gpus, parallel = hardware.nodes * hardware.gpus_per_node, worker.sequence_parallel
    place = ("verl", *worker.place, "ulysses_sequence_parallel_size")
    if gpus % parallel:
        yield place, f"{parallel} GPUs per sequence do not divide {_gpus(hardware)}; take {any_of(_divisors(parallel, gpus))}"
        return
    if model.heads is not None and model.heads % parallel:
        yield place, f"{parallel} GPUs per sequence do not divide the model's {model.heads} attention heads"
    ranks = gpus // parallel
    among = _gpus(hardware) if parallel == 1 else f"{ranks} groups of {parallel} GPUs"
    responses = worker.mini * stage.rollout.samples
    if responses % ranks:
        step = ranks // math.gcd(ranks, stage.rollout.samples)
        whole = stage.batch.prompts
        fitting = _around(worker.mini, [each for each in range(step, whole + 1, step) if whole % each == 0])
        advice = f"take {any_of(fitting)} prompts" if fitting else f"it has to be a multiple of {step}"
        yield (
            worker.mini_place,
            f"{_responses(worker.mini, stage)} per update cannot be shared out evenly among {among}; {advice}",
        )
    elif not worker.dynamic and (responses // ranks) % worker.micro:
        each = responses // ranks
        yield (
            worker.micro_place,
            f"{worker.micro} responses per forward pass do not divide the {each} of each GPU per update "
            f"({_responses(worker.mini, stage)}, among {among}); take {any_of(_divisors(worker.micro, each))}",
        )


def _check_scoring(stage: RlStage, ranks: int) -> Found:
    """Probabilities under the old and the reference policy, whose forward passes may be of another size."""
    each = stage.batch.prompts * stage.rollout.samples // ranks
    for group in ("rollout", "ref") if stage.kl is not None else ("rollout",):
        key = f"actor_rollout_ref.{group}.log_prob_micro_batch_size_per_gpu"
        micro = _said(stage, key, None)
        if isinstance(micro, int) and each % micro:
            yield (
                ("verl", *key.split(".")),
                f"{micro} responses per forward pass do not divide the {each} of each GPU per step; "
                f"take {any_of(_divisors(micro, each))}",
            )


def _check_tensor_parallel(stage: RlStage, hardware: Hardware, model: ModelInfo) -> Found:
    tensor, place = stage.rollout.tensor_parallel, ("rollout", "tensor_parallel")
    copies = _said(stage, "actor_rollout_ref.rollout.data_parallel_size", 1)
    gpus, width = hardware.nodes * hardware.gpus_per_node, tensor * copies
    fits = not gpus % width and not (hardware.gpus_per_node % width and width % hardware.gpus_per_node)
    if not fits:
        shared = f"{tensor} GPUs" if copies == 1 else f"{tensor} x data_parallel_size {copies} = {width} GPUs"
        advice = any_of(_divisors(tensor, hardware.gpus_per_node))
        yield place, f"{shared} per copy of the model do not fit {_gpus(hardware)}; take {advice}"
    elif model.heads is not None and model.heads % tensor:
        heads = f"{model.heads} attention heads"
        common = math.gcd(model.heads, hardware.gpus_per_node)
        yield place, f"{tensor} GPUs cannot share the model's {heads} evenly; take {any_of(_divisors(tensor, common))}"
    elif (shared_heads := model.key_value_heads) is not None and shared_heads % tensor and tensor % shared_heads:
        yield place, f"{tensor} GPUs cannot share the model's {shared_heads} key and value heads evenly"


def _check_positions(stage: RlStage, model: ModelInfo) -> Found:
    rollout = stage.rollout
    longest = rollout.max_prompt_tokens + rollout.max_response_tokens
    if model.positions is not None and longest > model.positions:
        yield (
            ("rollout", "max_response_tokens"),
            f"max_prompt_tokens {rollout.max_prompt_tokens} + max_response_tokens {rollout.max_response_tokens} = {longest}, "
            f"and the model has {model.positions} positions (max_position_embeddings)",
        )


def _actor(stage: RlStage) -> _Worker:
    group = "actor_rollout_ref.actor"
    return _Worker(
        ("actor_rollout_ref", "actor"),
        stage.batch.mini,
        ("batch", "mini"),
        stage.batch.micro_per_gpu,
        ("batch", "micro_per_gpu"),
        _sequence_parallel(stage, group, "fsdp_config"),
        bool(_said(stage, f"{group}.use_dynamic_bsz", default=False)),
    )


def _critic(stage: RlStage) -> _Worker:
    mini, micro = "critic.ppo_mini_batch_size", "critic.ppo_micro_batch_size_per_gpu"
    said_mini, said_micro = _said(stage, mini, None), _said(stage, micro, None)
    return _Worker(
        ("critic",),
        said_mini if isinstance(said_mini, int) else stage.batch.mini,
        ("verl", *mini.split(".")) if isinstance(said_mini, int) else ("batch", "mini"),
        said_micro if isinstance(said_micro, int) else stage.batch.micro_per_gpu,
        ("verl", *micro.split(".")) if isinstance(said_micro, int) else ("batch", "micro_per_gpu"),
        _sequence_parallel(stage, "critic", "fsdp"),
        bool(_said(stage, "critic.use_dynamic_bsz", _said(stage, "actor_rollout_ref.actor.use_dynamic_bsz", default=False))),
    )


def _sequence_parallel(stage: RlStage, group: str, engine: str) -> int:
    """GPUs that share one sequence in training (Ulysses); the older of two keys wins in verl where it is above 1."""
    name = "ulysses_sequence_parallel_size"
    older, newer = _said(stage, f"{group}.{name}", 1), _said(stage, f"{group}.{engine}.{name}", 1)
    return max(1, older if isinstance(older, int) and older > 1 else newer if isinstance(newer, int) else 1)


def _said(stage: RlStage, key: str, default: Any) -> Any:
    """The value that the stage's `verl:` gives a key; loading has unfolded dotted ones."""
    place: Any = stage.verl
    for step in key.split("."):
        if not isinstance(place, Mapping) or step not in place:
            return default
        place = place[step]
    return default if isinstance(place, str) and "${" in place else place


def _gpus(hardware: Hardware) -> str:
    if hardware.nodes == 1:
        return f"{hardware.gpus_per_node} GPU{'s' if hardware.gpus_per_node > 1 else ''}"
    return f"{hardware.nodes} x {hardware.gpus_per_node} GPUs"


def _responses(prompts: int, stage: RlStage) -> str:
    samples = stage.rollout.samples
    return f"{prompts} prompts x {samples} samples = {prompts * samples} responses"


def _divisors(number: int, whole: int) -> list[int]:
    """The divisors of a whole nearest to a number, on both sides."""
    return _around(number, [each for each in range(1, whole + 1) if whole % each == 0])


def _around(number: int, options: list[int]) -> list[int]:
    """Of options in their order, the nearest below a number and above it."""
    return [*[each for each in options if each < number][-1:], *[each for each in options if each > number][:1]]
