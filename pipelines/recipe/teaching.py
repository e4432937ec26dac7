"""Stages that would train and teach nothing, or something else than they seem to, as far as the recipe shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.models.chat_template import TINY_OPENING, read_eos, read_opening
from pipelines.models.folder import find_model_folder
from pipelines.recipe.nodes import Loc
from pipelines.recipe.problems import Found
from pipelines.recipe.schema import Recipe, Reward, RlStage, SftStage, TinyModel
from pipelines.recipe.upstream_keys import openings, templates
from preprocess.config import Source

_KNOWN = ("qwen", "llama3")
"""Templates to name first if several write the same."""


def find_useless(recipe: Recipe) -> Found:
    """Yield what keeps a stage from teaching."""
    for index, stage in enumerate(recipe.stages):
        found = _find_weights(stage) if isinstance(stage, RlStage) else _find_other_format(stage, recipe)
        for loc, message in found:
            yield ("stages", index, *loc), message


def find_doubtful(recipe: Recipe) -> Found:
    """Yield the weights of rewards and the repeated sources that are possible, and are mistakes more often."""
    for index, stage in enumerate(recipe.stages):
        for loc, message in _find_repeated(stage):
            yield ("stages", index, *loc), message
        if isinstance(stage, RlStage) and any(each.weight > 0 for each in stage.rewards):
            for loc, reward in _locate_rewards(stage):
                if reward.weight <= 0:
                    why = "its score does not count" if reward.weight == 0 else "the higher its score, the lower the sum"
                    yield ("stages", index, *loc, "weight"), f"found {reward.weight:g}: {why}"


def _find_repeated(stage: SftStage | RlStage) -> Found:
    """Yield sources whose rows are also those of an earlier source of the list: the same selection of the same files."""
    for split, sources in (("train", stage.data.train_sources), ("validation", stage.data.validation_sources)):
        for number, source in enumerate(sources):
            for earlier in sources[:number]:
                if _overlap(source, earlier):
                    yield (
                        ("data", split, number),
                        f"its rows count twice: {earlier.source} is listed before; remove one of both",
                    )
                    break


def _overlap(one: Source, other: Source) -> bool:
    """Return whether two sources have rows in common; with another converter or selection, they may have none."""
    if one.model_copy(update={"source": "", "limit": None}) != other.model_copy(update={"source": "", "limit": None}):
        return False
    if not Path(one.source).is_absolute() or not Path(other.source).is_absolute():
        return one.source == other.source
    first, second = Path(one.source).resolve(), Path(other.source).resolve()
    return first.is_relative_to(second) or second.is_relative_to(first)


def _find_weights(stage: RlStage) -> Found:
    """Yield the weight of the first reward if no reward has a positive one."""
    if any(each.weight > 0 for each in stage.rewards):
        return
    loc, reward = next(_locate_rewards(stage))
    why = "every response has the score 0" if reward.weight == 0 else "the better a response, the lower its score"
    yield (*loc, "weight"), f"found {reward.weight:g}, expected more than 0: {why}"


def _locate_rewards(stage: RlStage) -> Iterator[tuple[Loc, Reward]]:
    for number, reward in enumerate(stage.rewards):
        yield ("reward", number) if isinstance(stage.reward, list) else ("reward",), reward


def _find_other_format(stage: SftStage, recipe: Recipe) -> Found:
    """Yield a template of LLaMA-Factory that asks for answers in another way than the model's own chat template.

    The model would be trained on prompts that it never gets later, without any error. `pipeline check` compares the tokens of
    whole rows.
    """
    name = stage.template
    if stage.trainer != "llamafactory" or name is None or templates().get(name, True):
        return
    earlier = recipe.lineage(stage)[1:]
    if any(isinstance(each, SftStage) and templates().get(each.template or "", False) for each in earlier):
        return  # the model's template is another by then
    used, own = openings().get(name), _read_opening(recipe, stage)
    if used is None or own is None:
        return
    opening, eos = own
    used = used.replace("<eos>", eos)
    if not opening.lstrip().startswith(used.strip()):
        same = [each for each, text in openings().items() if text == opening and not templates()[each]]
        advice = f", as {min(same, key=lambda each: (each not in _KNOWN, len(each)))} does" if same else ""
        yield (
            ("template",),
            f"{name} writes {used!r} between a question and its answer, and the model's own chat template, which makes its "
            f"prompts after training, writes {opening!r}{advice}",
        )


def _read_opening(recipe: Recipe, stage: SftStage) -> tuple[str, str] | None:
    """Return what the model's chat template writes before an answer, and its end-of-text token, if it is on this machine."""
    model, revision = recipe.base_model(stage), recipe.base_revision(stage)
    like = model.like if isinstance(model, TinyModel) else model
    if like is None:
        return TINY_OPENING, ""
    folder = find_model_folder(like, revision)
    opening = read_opening(folder) if folder is not None else None
    return None if folder is None or opening is None else (opening, read_eos(folder))
