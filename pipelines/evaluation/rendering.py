"""Render a target and the user's options into the spec of an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.environments import detected_platform, environment
from pipelines.environments.gpus import count_gpus
from pipelines.errors import InputError
from pipelines.evaluation.sampling import check_sampling
from pipelines.evaluation.sets import EvaluationSet, MissingSourceError, list_sets, load_set, require_source
from pipelines.evaluation.spec import Export, Generation, SetSpec, Spec, Tool
from pipelines.evaluation.target import Target
from pipelines.recipe.evaluating import OWN, Evaluate
from pipelines.recipe.nested import Settings, deep_merge, get_path
from pipelines.recipe.schema import Recipe, RlStage
from pipelines.run.plan import Plan
from pipelines.trainers.base import Platform
from pipelines.trainers.verl.rendering import environment as variables_of
from pipelines.trainers.verl.rendering import upstream_keys
from pipelines.trainers.verl.rl.tool import tool_config, tool_settings
from preprocess.config import Source

_SAMPLED = 1.0
"""Temperature of several samples of a set that is greedy by default."""
_SEED = 17
_FIGURES = {"share": "tests"}
"""Metric of a set file -> its figure in a summary."""


@dataclass(frozen=True)
class Options:
    """What the user chose on the command line; None: the set's or the recipe's own value."""

    sets: Sequence[str] = ()
    samples: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    limit: int | None = None
    tool: bool = True
    """Give the model the recipe's tool."""
    tensor_parallel: int | None = None
    sandbox: Mapping[str, Any] | None = None
    """Replaces the recipe's."""


def options_of(evaluate: Evaluate) -> Options:
    """Return the options of a recipe's evaluations."""
    return Options(tuple(evaluate.on), evaluate.samples, evaluate.temperature, evaluate.max_tokens, evaluate.limit)


def recipe_options(target: Target) -> Options:
    """Return the options of the target's recipe, by which its run evaluates; all defaults without one.

    Sets whose source is not on this machine are left out, as in the run.
    """
    evaluate = target.plan.recipe.evaluate if target.plan else None
    if evaluate is None:
        return Options()
    return replace(options_of(evaluate), sets=tuple(name for name in evaluate.on if name == OWN or _is_here(name)))


def _is_here(name: str) -> bool:
    try:
        require_source(load_set(name))
    except MissingSourceError:
        return False
    return True


def output_folder(target: Target, options: Options) -> Path:
    """Return the default folder of an evaluation: results that must not be mixed have different folders."""
    words = [target.label]
    words += [f"{options.samples}-samples"] if (options.samples or 1) > 1 else []
    words += [f"temperature-{options.temperature:g}"] if options.temperature is not None else []
    words += [f"{options.max_tokens}-tokens"] if options.max_tokens is not None else []
    words += [f"first-{options.limit}"] if options.limit is not None else []
    words += ["no-tool"] if not options.tool else []
    return target.home / ".".join(words)


def make_spec(target: Target, options: Options, folder: Path, sets: Sequence[SetSpec] | None = None) -> Spec:
    """Render an evaluation.

    Args:
        folder: The folder of the evaluation, absolute.
        sets: The sets, which need not be on this machine yet; default: those of the options.

    Raises:
        InputError: A set or its source does not exist, or an option does not fit.
    """
    model = target.model or str(folder / "model")
    generation = make_generation(target, model, options)
    stage = find_rl_stage(target)
    return Spec(
        target=f"{target.text} without its tool" if stage and stage.tool and not options.tool else target.text,
        label=target.label,
        model=model,
        generation=generation,
        sets=_render_sets(target, stage, options) if sets is None else tuple(sets),
        sandbox=_choose_sandbox(target, options),
        export=_render_export(target, folder),
    )


def make_generation(target: Target, model: str, options: Options) -> Generation:
    """Render how a target generates: with the rollout, the chat template's arguments and the tool of its RL stage.

    Args:
        target: The target.
        model: Its folder or hub name.
        options: The options of the user.
    """
    platform: Platform = target.plan.machine.platform if target.plan else detected_platform()
    stage = find_rl_stage(target)
    keys: Settings = upstream_keys(stage) if stage else {}
    python, variables = _find_python(target, platform)
    parallel = options.tensor_parallel or (stage.rollout.tensor_parallel if stage else 1)
    return Generation(
        python=str(python),
        variables={**variables, **variables_of(model, platform)},
        platform=platform,
        tensor_parallel=parallel,
        replicas=max(1, _count_devices(target, platform) // parallel),
        seed=target.plan.recipe.seed if target.plan else _SEED,
        template=get_path(keys, "data.apply_chat_template_kwargs", {}),
        engine=get_path(keys, "actor_rollout_ref.rollout.engine_kwargs.vllm", {}),
        tool=_render_tool(stage, keys, _choose_sandbox(target, options)) if stage and options.tool else None,
    )


def _choose_sandbox(target: Target, options: Options) -> dict[str, Any]:
    if options.sandbox is not None:
        return dict(options.sandbox)
    return target.plan.recipe.sandbox.model_dump(exclude_defaults=True) if target.plan else {}


def _find_python(target: Target, platform: Platform) -> tuple[Path, Mapping[str, str]]:
    """Return the Python of verl's environment, and its variables."""
    plan = target.plan
    if plan is not None and "verl" in plan.machine.pythons:
        return plan.machine.pythons["verl"], plan.machine.variables.get("verl", {})
    verl = environment("verl", platform, plan.recipe.environments.verl if plan else None)
    return verl.python, verl.variables


def find_rl_stage(target: Target) -> RlStage | None:
    """Return the stage whose rollout and tool the evaluation uses: the target's, else the next one of the recipe."""
    if target.plan is None or target.stage is None:
        return None
    stages = target.plan.recipe.stages
    later = stages[stages.index(target.stage) :]
    return next((each for each in [*later, *stages] if isinstance(each, RlStage)), None)


def _count_devices(target: Target, platform: Platform) -> int:
    if target.plan is not None:
        return target.plan.recipe.hardware.gpus_per_node
    if platform == "cpu":
        return 1
    return max(1, count_gpus())


def _render_tool(stage: RlStage, keys: Settings, sandbox: Mapping[str, Any]) -> Tool | None:
    if stage.tool is None:
        return None
    place = "actor_rollout_ref.rollout.multi_turn"
    turns = deep_merge(get_path(tool_settings(stage, None), place), get_path(keys, place, {}))
    return Tool(multi_turn=turns, config=tool_config(stage.tool, processes=1, sandbox=sandbox))


def _render_sets(target: Target, stage: RlStage | None, options: Options) -> tuple[SetSpec, ...]:
    names = options.sets or ([OWN] if stage else [])
    if not names:
        raise InputError(
            f"{target.text}: choose what to evaluate on with --on SET; sets: {', '.join(each.name for each in list_sets())}"
        )
    sets = [_render_own(target, stage, options) if name == OWN else _render_set(name, options) for name in names]
    for name, count in Counter(each.name for each in sets).items():
        if count > 1:
            raise InputError(f"--on: two sets are called {name!r}")
    return tuple(sets)


def _render_own(target: Target, stage: RlStage | None, options: Options) -> SetSpec:
    if target.plan is None or stage is None:
        raise InputError(f"--on {OWN}: {target.text} is not an RL stage of a run, so it has no validation rows with rewards")
    given = render_own(target.plan, stage, options)
    if not Path(given.definition["data"]["source"]).is_file():
        rows = given.definition["data"]["source"]
        raise InputError(f"--on {OWN}: {rows} not found; `pipeline data prepare` makes the rows of a recipe")
    return given


def own_name(recipe: Recipe, stage: RlStage) -> str:
    """Return the name of the set of a stage's validation rows: models on other rows must not be compared with it."""
    return OWN if [each.kind for each in recipe.stages].count("rl") == 1 else f"{OWN}-{stage.name}"


def render_own(plan: Plan, stage: RlStage, options: Options) -> SetSpec:
    """Return the validation rows of a stage as a set, scored by the stage's rewards. The rows need not be prepared yet."""
    samples = options.samples or 1
    temperature = options.temperature if options.temperature is not None else _SAMPLED if samples > 1 else 0.0
    check_sampling(samples, temperature)
    given = EvaluationSet(
        name=own_name(plan.recipe, stage),
        data=Source(converter="verl_rows", source=str(plan.paths(stage.name).data / "validation.parquet")),
        reward=stage.rewards,
        samples=samples,
        temperature=temperature,
        max_prompt_tokens=stage.rollout.max_prompt_tokens,
        max_response_tokens=options.max_tokens or stage.rollout.max_response_tokens,
    )
    return to_set_spec(given, options.limit)


def _render_set(name: str, options: Options) -> SetSpec:
    given = load_chosen(name, options)
    require_source(given)
    return to_set_spec(given, options.limit)


def load_chosen(name: str, options: Options) -> EvaluationSet:
    """Load a set with the user's options over its own values."""
    given = load_set(name)
    changes = []
    if options.samples is not None:
        changes.append(f"samples={options.samples}")
    temperature = options.temperature
    if temperature is None and (options.samples or 1) > 1 and given.temperature == 0:
        temperature = _SAMPLED
    if temperature is not None:
        changes.append(f"temperature={temperature}")
    if options.max_tokens is not None:
        changes.append(f"max_response_tokens={options.max_tokens}")
    return load_set(name, changes) if changes else given


def to_set_spec(given: EvaluationSet, limit: int | None) -> SetSpec:
    """Return a set as it is in a spec."""
    return SetSpec(
        name=given.name,
        definition=given.model_dump(mode="json"),
        rewards=tuple(each.model_dump(mode="json") for each in given.rewards),
        samples=given.samples,
        temperature=given.temperature,
        top_p=given.top_p,
        max_prompt_tokens=given.max_prompt_tokens,
        max_tokens=given.max_response_tokens,
        metric=_FIGURES.get(given.metric, given.metric),
        limit=limit,
    )


def _render_export(target: Target, folder: Path) -> Export | None:
    if target.checkpoint is None:
        return None
    from pipelines.run.export import conversion

    assert target.plan is not None and target.stage is not None
    launch = conversion(target.plan, target.stage, folder / "export")
    if launch is None:
        raise InputError(f"{target.text}: {target.checkpoint} needs no export")
    return Export(
        argv=launch.argv, variables=dict(launch.environment), files=dict(launch.files), checkpoint=str(target.checkpoint)
    )
