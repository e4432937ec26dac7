"""The real trainers validate all shipped recipes on both platforms and reject mistakes, in one process each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import shipped
from pipelines.checks import upstreams
from pipelines.checks.findings import Report
from pipelines.checks.samples import open_sample
from pipelines.checks.upstreams import make_question, prompt_arguments, write_rows
from pipelines.recipe.loading import load
from pipelines.recipe.schema import SftStage
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan
from pipelines.trainers.answering import Answer, Question
from pipelines.trainers.llamafactory import trainer as llamafactory
from pipelines.trainers.verl.rl import trainer as verl

RECIPES = sorted(path.name for path in shipped.RECIPES.glob("*.yaml"))
PLATFORMS = ("cpu", "cuda")

Answers = Mapping[str, Answer]

# smoke.yaml with its first stage trained by verl.
VERL_SFT = ["stages.sft.trainer=verl", "stages.sft.template=!remove", "stages.sft.llamafactory=!remove"]

# Name -> settings over smoke.yaml, the stage, and a part of the trainer's message.
REJECTED: dict[str, tuple[list[str], str, str]] = {
    "what vLLM lacks": (
        ["stages.stage-one.verl.actor_rollout_ref.rollout.pipeline_model_parallel_size=2"],
        "stage-one",
        "Current rollout self.name='vllm' not implemented pipeline_model_parallel_size > 1 yet.",
    ),
    "a missing class": (
        ["stages.stage-two.verl.trainer.v1.sampler.custom_sampler={path: pkg://nowhere.at_all, name: Sampler}"],
        "stage-two",
        "nowhere",
    ),
    "an option of adapters": (
        ["stages.sft.llamafactory.use_llama_pro=true"],
        "sft",
        "`use_llama_pro` is only valid for Freeze or LoRA training.",
    ),
}


def _questions(name: str, sets: list[str], folder: Path, prefix: str, rows: bool) -> list[tuple[str, Question]]:
    """Return trainer and question of each stage, with a prefix before the stage's name."""
    loaded = load(Path(name), sets)
    environments = find_environments(loaded.recipe)
    plan = make_plan(loaded.recipe, find_machine(environments), folder)
    found: list[tuple[str, Question]] = []
    for stage in loaded.recipe.stages:
        if rows:
            made = open_sample(loaded, stage).read(40, Report())
            write_rows([row for each in made.values() for row in each], stage, plan.paths(stage.name))
    for stage in loaded.recipe.stages:
        question, _ = make_question(plan, stage)
        found.append((stage.trainer, replace(question, stage=f"{prefix} {stage.name}")))
    return found


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> Answers:
    """All answers, from one process per trainer: importing a trainer takes longest."""
    folder = tmp_path_factory.mktemp("asked")
    questions = [
        each
        for name in RECIPES
        for platform in PLATFORMS
        for each in _questions(
            name, [f"hardware.platform={platform}"], folder / name / platform, f"{name} {platform}", rows=True
        )
    ]
    for platform in PLATFORMS:
        sets = [*VERL_SFT, f"hardware.platform={platform}"]
        questions += _questions("smoke.yaml", sets, folder / "verl-sft" / platform, f"verl-sft {platform}", rows=True)
    for trainer, sets in (("llamafactory", []), ("verl", VERL_SFT)):
        sets = [*sets, "hardware.platform=cpu", "stages.sft.data.overlong=leave_out", "stages.sft.max_tokens=235"]
        questions += _questions("smoke.yaml", sets, folder / f"left-out-{trainer}", f"left-out {trainer}", rows=True)[:1]
    for place, (name, (sets, _, _)) in enumerate(REJECTED.items()):
        sets = [*sets, "hardware.platform=cpu"]
        questions += _questions("smoke.yaml", sets, folder / f"refused-{place}", name, rows=False)
    found: dict[str, Answer] = {}
    for trainer in dict.fromkeys(trainer for trainer, _ in questions):
        python = trainer_python(trainer)
        request = folder / f"{trainer}.json"
        request.write_text(json.dumps([asdict(question) for name, question in questions if name == trainer]))
        module = {"llamafactory": llamafactory.ANSWERS, "verl": verl.ANSWERS}[trainer]
        environ = {"HF_HUB_OFFLINE": "1", "VERL_PLATFORM": "cpu", "CUDA_VISIBLE_DEVICES": "", "DISABLE_VERSION_CHECK": "1"}
        environ |= {"HF_DATASETS_CACHE": str(folder / "cache"), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, "-m", module, request], env=os.environ | environ, cwd=folder, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found |= {each["stage"]: Answer(**each) for each in map(json.loads, done.stdout.splitlines())}
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", RECIPES)
def test_the_trainers_accept_every_shipped_recipe(answers: Answers, name: str, platform: str) -> None:
    for stage in load(Path(name), []).recipe.stages:
        answer = answers[f"{name} {platform} {stage.name}"]
        assert answer.problem is None, f"{stage.name}: {answer.problem}"
        said = stage.model_dump().get("llamafactory") or {}
        assert answer.untried == (["deepspeed"] if platform == "cuda" and said.get("deepspeed") else [])


@pytest.mark.nightly
@pytest.mark.parametrize("name", REJECTED)
def test_a_rejection_quotes_the_trainer(answers: Answers, name: str) -> None:
    _, stage, said = REJECTED[name]
    problems = {key: answer.problem for key, answer in answers.items() if key.startswith(f"{name} ")}
    assert [key for key, problem in problems.items() if problem] == [f"{name} {stage}"]
    problem = problems[f"{name} {stage}"]
    assert problem is not None
    assert said in problem
    assert "\n" not in problem


@pytest.mark.nightly
@pytest.mark.parametrize("platform", PLATFORMS)
def test_verls_sft_trainer_answers(answers: Answers, platform: str) -> None:
    answer = answers[f"verl-sft {platform} sft"]
    assert (answer.problem, answer.facts) == (None, ["76 of 76 rows are left to train on"])


@pytest.mark.nightly
def test_both_trainers_leave_out_the_same_conversations(answers: Answers) -> None:
    ours, theirs = (answers[f"left-out {trainer} sft"] for trainer in ("llamafactory", "verl"))
    assert ours.problem is None and theirs.problem is None
    assert ours.lengths is not None
    assert ours.lengths == theirs.lengths
    left = ours.lengths["rows"] - ours.lengths["over"]
    assert 0 < left < ours.lengths["rows"]
    assert ours.facts == [f"{left} of {left} rows are accepted, 0 without a label, 0 cut at 235 tokens"]
    assert theirs.facts == [f"{left} of {left} rows are left to train on"]


@pytest.mark.nightly
@pytest.mark.parametrize("platform", PLATFORMS)
def test_rows_pass_through_the_trainers_data_code(answers: Answers, platform: str) -> None:
    sft, one, two = (answers[f"smoke.yaml {platform} {stage}"] for stage in ("sft", "stage-one", "stage-two"))
    assert sft.facts == ["76 of 76 rows are accepted, 0 without a label, 0 cut at 512 tokens"]
    assert (one.facts, two.facts) == (["40 of 40 rows are left to train on"], ["36 of 36 rows are left to train on"])
    assert [each.lengths and each.lengths["rows"] for each in (sft, one, two)] == [76, 40, 36]


@pytest.mark.nightly
def test_the_command_reports_a_rejection(trainer_python: Callable[[str], Path], tmp_path: Path) -> None:
    for trainer in ("llamafactory", "verl"):
        trainer_python(trainer)
    sets, stage, said = REJECTED["what vLLM lacks"]
    words = [word for each in ("hardware.platform=cpu", *sets) for word in ("--set", each)]
    command = [str(Path(sys.executable).with_name("pipeline")), "check", "smoke.yaml", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 2
    results = {tuple(line.split("\t")[:2]): line.split("\t")[2] for line in done.stdout.splitlines() if line.count("\t") == 2}
    assert results["sft", "LLaMA-Factory 0.9.5"].startswith("accepts it; 130 of 130 rows are accepted, 0 without a label")
    assert results["stage-two", "verl 0.9.1"] == "accepts it; 36 of 36 rows are left to train on"
    assert results[stage, "verl 0.9.1"].startswith("WRONG: rejects it: Current rollout")
    assert " of 512 tokens" in results["sft", "conversations"]
    assert " of 320 tokens" in results["stage-two", "prompts"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert f"smoke.yaml:25: stages.{stage}: verl 0.9.1 rejects it: {said}" in line
    assert list(tmp_path.iterdir()) == [], "files remain"


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], {}),
        (["stages.sft.llamafactory.enable_thinking=false"], {}),
        (["stages.stage-one.verl.data.apply_chat_template_kwargs={enable_thinking: false}"], {"enable_thinking": False}),
        (["stages.stage-two.verl.data.apply_chat_template_kwargs={enable_thinking: false}"], {}),
        (
            [
                "stages.sft.llamafactory.enable_thinking=false",
                "stages.stage-one.init_from=/models/other",
                "stages.stage-two.init_from=/models/other",
            ],
            {"enable_thinking": False},
        ),
    ],
)
def test_prompts_after_training_are_those_of_the_next_stage(sets: list[str], expected: dict[str, Any]) -> None:
    recipe = load(Path("smoke.yaml"), ["hardware.platform=cpu", *sets]).recipe
    sft = recipe.stages[0]
    assert isinstance(sft, SftStage)
    assert prompt_arguments(recipe, sft) == expected


@dataclass(frozen=True)
class Toy:
    """An environment whose Python is a script."""

    python: Path
    pin: Any = field(default_factory=lambda: SimpleNamespace(version="0"))
    variables: Mapping[str, str] = field(default_factory=dict)
    platform: str = "cpu"


@pytest.mark.parametrize(
    ("script", "seconds", "verdict", "result"),
    [
        ("echo 'ImportError: no verl' >&2; exit 3", 600.0, "wrong", "it does not answer: ImportError: no verl"),
        ("exit 3", 600.0, "wrong", "it does not answer: exit status 3"),
        ("echo rubbish", 600.0, "wrong", "it does not answer: exit status 0"),
        ("sleep 600", 1.0, "unchecked", "no answer after 1 s"),
    ],
)
def test_a_trainer_that_does_not_answer_is_reported_and_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, seconds: float, verdict: str, result: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(upstreams, "find_built", lambda _: Toy(python))
    monkeypatch.setattr(upstreams, "_SECONDS", seconds)
    loaded = load(Path("smoke.yaml"), ["hardware.platform=cpu"])
    environments = find_environments(loaded.recipe)
    plan = make_plan(loaded.recipe, find_machine(environments), tmp_path / "run")
    report = Report()
    checks = upstreams.TrainerChecks(loaded, plan, {}, environments, loaded.recipe.stages)
    try:
        checks.collect(report)
    finally:
        checks.close()
    assert {(each.verdict, each.result) for each in report.findings} == {(verdict, result)}
    assert [each.about for each in report.findings] == ["sft", "stage-one", "stage-two"]
    assert report.problems == []
