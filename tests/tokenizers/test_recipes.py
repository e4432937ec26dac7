"""Published tokenizers and chat templates with every recipe's rows: the tokens of both trainers, and of our count."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines import shipped
from pipelines.checks.findings import Report
from pipelines.checks.samples import open_sample
from pipelines.checks.upstreams import make_question, prompt_arguments, write_rows
from pipelines.recipe.loading import load
from pipelines.recipe.schema import SftStage
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import Plan, make_plan
from pipelines.smoke.shrinking import shrink
from pipelines.trainers.verl.rendering import template_arguments
from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.rows import SftRow, Turn
from tests import ROOT
from tests.rows import write_rows as write_file
from tests.tokenizers.models import make_tiny_models
from tests.tokenizers.packages import read_packages

pytestmark = pytest.mark.nightly

PROBES = {"llamafactory": "llamafactory_probe.py", "verl": "verl_probe.py"}
RECIPES = sorted(path.name for path in shipped.RECIPES.glob("*.yaml") if isinstance(load(path, []).recipe.model, str))
ROWS = 40


@dataclass(frozen=True)
class Mode:
    """A tokenizer, and how its chat template is used."""

    tokenizer: str
    template: str
    """LLaMA-Factory's."""
    thinking: bool = True
    """`enable_thinking`, for models that reason."""
    tools: bool = True
    """Whether the chat template renders tools."""
    limit: int | None = None
    """Most tokens of a prompt and of a conversation; None: the recipe's."""


MODES = {
    "qwen2_5": Mode("qwen2_5", "qwen"),
    "qwen3": Mode("qwen3", "qwen3"),
    "qwen3 without thinking": Mode("qwen3", "qwen3", thinking=False),
    "llama3_1": Mode("llama3_1", "llama3", tools=False),
}

# Shorter than some rows of this recipe.
SHORT = {"qwen3 shortened": Mode("qwen3", "qwen3", limit=110)}
SHORT_RECIPE = "execverify.yaml"

# No other recipe has conversations of several turns. The chat template of Qwen3 does not render them turn by turn:
# test_tool_tokens.py compares LLaMA-Factory's tokens with those of the agent loop.
TOOL_RECIPE, TOOL_MODE = "smoke_interpreter.yaml", "qwen2_5"

THOUGHT = "<think>\n6 * 7 is 42.\nTwice.\n</think>\n\n84"

# Settings of LLaMA-Factory that do not match the chat template of Qwen3.
MISTAKES: dict[str, dict[str, Any]] = {"wrong template": {"template": "qwen"}, "wrong mode": {"thinking": False}}


@dataclass(frozen=True)
class Case:
    """A stage's rows with a tokenizer."""

    name: str
    kind: str
    trainer: str
    folder: str
    """The folder of the stage's rendered files."""
    model: str
    file: str
    """The rows."""
    count: int
    limit: int
    template: str
    thinking: bool
    arguments: Mapping[str, Any]
    """Arguments of the chat template."""
    lengths: Mapping[str, Any]
    """How the rows are counted before training."""


@dataclass(frozen=True)
class Tokens:
    """The outcome of a case in both trainers' environments."""

    case: Case
    llamafactory: Mapping[str, Any]
    verl: Mapping[str, Any]


def settings(recipe: str, mode: Mode) -> list[str]:
    """Return the options that give a recipe's stages the mode."""
    sets = []
    for stage in load(Path(recipe), []).recipe.stages:
        place = f"stages.{stage.name}"
        if mode.limit is not None:
            key = "max_tokens" if isinstance(stage, SftStage) else "rollout.max_prompt_tokens"
            sets += [f"{place}.{key}={mode.limit}"]
        if isinstance(stage, SftStage) and stage.trainer == "llamafactory":
            sets += [f"{place}.template={mode.template}"]
            sets += [] if mode.thinking else [f"{place}.llamafactory.enable_thinking=false"]
        elif not mode.thinking:
            sets += [f"{place}.verl.data.apply_chat_template_kwargs={{enable_thinking: false}}"]
    return sets


def make_cases(recipe: str, name: str, mode: Mode, model: Path, folder: Path) -> list[Case]:
    """Write the rows and the configurations of a recipe's stages."""
    loaded, _ = shrink(load(Path(recipe), ["hardware.platform=cpu", *settings(recipe, mode)]))
    changed = loaded.recipe.model_copy(update={"model": str(model)})
    plan = make_plan(changed, find_machine(find_environments(changed)), folder)
    for stage in changed.stages:
        report = Report()
        sample = open_sample(loaded, stage)
        rows = sample.read(ROWS, report)
        assert not report.problems
        assert not sample.missing
        assert all(rows.values())
        write_rows([row for each in rows.values() for row in each], stage, plan.paths(stage.name))
    stages = [stage for stage in changed.stages if mode.tools or isinstance(stage, SftStage) or stage.tool is None]
    return [make_case(f"{recipe} {stage.name} {name}", stage, mode, model, plan) for stage in stages]


def make_case(name: str, stage: Any, mode: Mode, model: Path, plan: Plan) -> Case:
    """Write a stage's files; return the case."""
    question, _ = make_question(plan, stage)
    file = plan.paths(stage.name).data / "train.parquet"
    sft = isinstance(stage, SftStage)
    assert question.lengths is not None
    return Case(
        name=name,
        kind=stage.kind,
        trainer=stage.trainer,
        folder=question.folder,
        model=str(model),
        file=str(file),
        count=pq.read_metadata(file).num_rows,
        limit=stage.max_tokens if sft else stage.rollout.max_prompt_tokens,
        template=mode.template,
        thinking=mode.thinking,
        arguments=prompt_arguments(plan.recipe, stage) if sft else template_arguments(stage),
        lengths={**question.lengths, "limit": None},
    )


def with_thoughts(case: Case, folder: Path) -> Case:
    """Return a case of conversations with and without thoughts."""
    rows = [SftRow("p", (Turn("human", "What is 6 * 7 * 2?"), Turn("gpt", answer))) for answer in (THOUGHT, "84")]
    folder.mkdir()
    for split in ("train", "validation"):
        write_file(folder / f"{split}.parquet", rows, "sft")
    (folder / "dataset_info.json").write_text(json.dumps(make_dataset_info()))
    return replace(case, name="thoughts qwen3", file=str(folder / "train.parquet"), count=len(rows))


@pytest.fixture(scope="module")
def tokens(
    tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path], real_model: Callable[[str], Path]
) -> dict[str, Tokens]:
    """Return the outcome of every case, from one process per trainer: importing a trainer takes longest."""
    folder = tmp_path_factory.mktemp("tokens")
    originals = {name: real_model(name) for name in read_packages()}
    models = make_tiny_models(trainer_python("llamafactory"), originals, folder / "models")
    wanted = [(recipe, name) for recipe in RECIPES for name in MODES]
    wanted += [(TOOL_RECIPE, TOOL_MODE), *((SHORT_RECIPE, name) for name in SHORT)]
    cases = [
        case
        for recipe, name in wanted
        for mode in [(MODES | SHORT)[name]]
        for case in make_cases(recipe, name, mode, models[mode.tokenizer], folder / f"{recipe} {name}".replace(" ", "-"))
    ]
    matching = next(case for case in cases if case.name == "execverify.yaml sft qwen3")
    cases += [with_thoughts(matching, folder / "thoughts")]
    cases += [replace(matching, name=name, **changes) for name, changes in MISTAKES.items()]
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]))
    found = {trainer: run_probe(trainer_python(trainer), PROBES[trainer], folder) for trainer in PROBES}
    outcomes = zip(cases, found["llamafactory"], found["verl"], strict=True)
    return {case.name: Tokens(case, theirs, verls) for case, theirs, verls in outcomes}


def run_probe(python: Path, probe: str, folder: Path) -> list[dict[str, Any]]:
    """Run a probe in a trainer's environment; return its outcomes."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "DISABLE_VERSION_CHECK": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "VERL_PLATFORM": "cpu",
        "VERL_USE_EXTERNAL_PLUGINS": "none",
        "VERL_USE_EXTERNAL_MODULES": "pipelines.trainers.verl.plugin",
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    argv: list[str | Path] = [python, "-W", "ignore", Path(__file__).with_name(probe), folder / "cases.json"]
    done = subprocess.run(argv, env=environment, cwd=folder, text=True, capture_output=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]


def select(tokens: Mapping[str, Tokens], kind: str, mode: str) -> Sequence[Tokens]:
    found = [each for each in tokens.values() if each.case.kind == kind and each.case.name.endswith(f" {mode}")]
    assert found
    return found


@pytest.mark.parametrize("mode", MODES | SHORT)
def test_both_trainers_train_on_the_same_tokens(tokens: dict[str, Tokens], mode: str) -> None:
    for each in select(tokens, "sft", mode):
        assert len(each.llamafactory["rows"]) == each.case.count
        for place, (theirs, ours) in enumerate(zip(each.llamafactory["rows"], each.verl["rows"], strict=True)):
            assert theirs == ours, f"{each.case.name}, row {place}"
            assert 0 < sum(ours[1]) < len(ours[0])
        assert each.llamafactory["notes"] == []


@pytest.mark.parametrize("mode", MODES | SHORT)
def test_both_trainers_have_the_same_prompts(tokens: dict[str, Tokens], mode: str) -> None:
    for each in select(tokens, "rl", mode):
        limit = each.case.limit
        expected = [[name, ids] for name, ids in each.llamafactory["rows"] if len(ids) <= limit]
        assert each.verl["rows"] == expected, each.case.name


@pytest.mark.parametrize("mode", MODES | SHORT)
def test_lengths_are_counted_as_the_trainers_do(tokens: dict[str, Tokens], mode: str) -> None:
    for each in select(tokens, "sft", mode):
        uncut = [min(length, each.case.limit) for length in each.verl["counted"]]
        assert [len(ids) for ids, _ in each.verl["rows"]] == uncut == [len(ids) for ids, _ in each.llamafactory["rows"]]
        assert each.llamafactory["counted"] == each.verl["counted"]
    for each in select(tokens, "rl", mode):
        assert [len(ids) for _, ids in each.llamafactory["rows"]] == each.llamafactory["counted"] == each.verl["counted"]


@pytest.mark.parametrize("mode", SHORT)
def test_long_rows_are_cut_and_long_prompts_left_out(tokens: dict[str, Tokens], mode: str) -> None:
    limit = SHORT[mode].limit
    (sft,) = select(tokens, "sft", mode)
    for trained in (sft.llamafactory["rows"], sft.verl["rows"]):
        assert [len(ids) for ids, _ in trained] == [limit] * sft.case.count
    kept = {each.case.name: (len(each.verl["rows"]), each.case.count) for each in select(tokens, "rl", mode)}
    # A prompt of exactly the limit is kept.
    assert kept == {f"{SHORT_RECIPE} stage-one {mode}": (2, 4), f"{SHORT_RECIPE} stage-two {mode}": (3, 3)}


def test_conversations_with_the_tool_have_several_turns(tokens: dict[str, Tokens]) -> None:
    found = tokens[f"{TOOL_RECIPE} sft {TOOL_MODE}"]
    for _, mask in found.verl["rows"]:
        assert sum(before < after for before, after in pairwise(mask)) > 1


def test_thoughts_are_trained_on(tokens: dict[str, Tokens]) -> None:
    found = tokens["thoughts qwen3"]
    thought, empty = (sum(mask) for _, mask in found.verl["rows"])
    assert thought > empty


@pytest.mark.parametrize("recipe", RECIPES)
def test_lengths_of_the_examples(tokens: dict[str, Tokens], recipe: str, golden: Callable[[str, str], None]) -> None:
    lines = []
    for each in tokens.values():
        if each.case.name.startswith(f"{recipe} ") and not each.case.name.endswith(tuple(SHORT)):
            lines += [f"{each.case.name.removeprefix(f'{recipe} ')}: {' '.join(map(str, each.verl['counted']))}"]
    golden(f"tokens/{recipe.removesuffix('.yaml')}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("mistake", "template", "found", "wanted"),
    [
        ("wrong template", "qwen", "<|im_start|>system", "'<|im_start|>user"),
        ("wrong mode", "qwen3", "assistant\\n<think>\\n\\n</think>\\n\\n'", "assistant\\n'"),
    ],
)
def test_template_that_does_not_match_is_noted(
    tokens: dict[str, Tokens], mistake: str, template: str, found: str, wanted: str
) -> None:
    (note,) = tokens[mistake].llamafactory["notes"]
    start = f"template {template} renders 2 of 2 conversations differently from the model's chat template, "
    assert note.startswith(f"{start}which builds its prompts after training: ")
    assert note.endswith("; template qwen3 with llamafactory.enable_thinking true renders all of them equally")
    first, _, second = note.partition(" instead of ")
    assert found in first
    assert wanted in second
