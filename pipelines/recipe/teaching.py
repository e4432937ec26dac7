"""Stages that would train and teach nothing, or something else than they seem to, as far as the recipe shows it."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.models.chat_template import TINY, read_eos, read_opening, render_opening
from pipelines.models.folder import find_model_folder
from pipelines.recipe.nodes import Loc
from pipelines.recipe.problems import Found
from pipelines.recipe.schema import Recipe, Reward, RlStage, SftStage, TinyModel
from pipelines.recipe.upstream_keys import openings, templates

_KNOWN = ("qwen", "llama3")
"""Templates to name first if several write the same."""


def find_useless(recipe: Recipe) -> Found:
    """Yield what keeps a stage from teaching."""
    for index, stage in enumerate(recipe.stages):
        found = _find_weights(stage) if isinstance(stage, RlStage) else _find_other_format(stage, recipe)
        for loc, message in found:
            yield ("stages", index, *loc), message


def find_doubtful(recipe: Recipe) -> Found:
    """Yield the weights of rewards that are possible, and are mistakes more often."""
    for index, stage in enumerate(recipe.stages):
        if isinstance(stage, RlStage) and any(each.weight > 0 for each in stage.rewards):
            for loc, reward in _locate_rewards(stage):
                if reward.weight <= 0:
                    why = "its score does not count" if reward.weight == 0 else "the higher its score, the lower the sum"
                    yield ("stages", index, *loc, "weight"), f"found {reward.weight:g}: {why}"


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
        opening = render_opening(TINY.read_text(encoding="utf-8"), {})
        return None if opening is None else (opening, "")
    folder = find_model_folder(like, revision)
    opening = read_opening(folder) if folder is not None else None
    return None if folder is None or opening is None else (opening, read_eos(folder))
