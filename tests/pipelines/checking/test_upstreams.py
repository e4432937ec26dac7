"""The pinned trainers really asked, in one process each: all shipped recipes on both platforms, and what they refuse."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipelines.checking.findings import Report
from pipelines.checking.samples import open_sample
from pipelines.checking.upstreams import make_question, write_rows
from pipelines.machine import find_environments, find_machine
from pipelines.plan import make_plan, trainer_of
from pipelines.recipe.files import SHIPPED
from pipelines.recipe.loading import load
from pipelines.trainers import llamafactory
from pipelines.trainers.answering import Answer, Question
from pipelines.trainers.verl import trainer as verl

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted(path.name for path in SHIPPED.glob("*.yaml"))
PLATFORMS = ("cpu", "cuda")

Answers = Mapping[str, Answer]

# smoke.yaml with its first stage trained by verl.
VERL_SFT = ["stages.sft.trainer=verl", "stages.sft.template=!remove", "stages.sft.llamafactory=!remove"]

# A name, settings over smoke.yaml, the stage, and what of the trainer's own words must be told.
REFUSED: dict[str, tuple[list[str], str, str]] = {
    "two sizes": (
        ["stages.stage-one.verl.actor_rollout_ref.actor.ppo_micro_batch_size=4"],
        "stage-one",
        "[actor] You have set both 'actor.ppo_micro_batch_size' AND 'actor.ppo_micro_batch_size_per_gpu'",
    ),
    "a class that is not there": (
        ["stages.stage-two.verl.trainer.v1.sampler.custom_sampler={path: pkg://nowhere.at_all, name: Sampler}"],
        "stage-two",
        "nowhere",
    ),
    "an option of adapters": (
        ["stages.sft.llamafactory.quantization_bit=4"],
        "sft",
        "Quantization is only compatible with the LoRA or OFT method.",
    ),
}


def _questions(name: str, sets: list[str], folder: Path, prefix: str, rows: bool) -> list[tuple[str, Question]]:
    """The questions of a recipe's stages by their trainers, the stages' names with a prefix."""
    loaded = load(Path(name), sets)
    environments = find_environments(loaded.recipe)
    plan = make_plan(loaded.recipe, find_machine(loaded.recipe, environments), folder)
    found = []
    for stage in loaded.recipe.stages:
        if rows:
            made = open_sample(loaded, stage).read(40, Report())
            write_rows([row for each in made.values() for row in each], stage, plan.paths(stage.name))
    for stage in loaded.recipe.stages:
        question, _ = make_question(plan, stage)
        found.append((trainer_of(stage), replace(question, stage=f"{prefix} {stage.name}")))
    return found


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> Answers:
    """All answers: importing a trainer takes longer than all the questions."""
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
    for place, (name, (sets, _, _)) in enumerate(REFUSED.items()):
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


@pytest.mark.smoke
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", RECIPES)
def test_the_trainers_accept_what_every_shipped_recipe_is_rendered_to(answers: Answers, name: str, platform: str) -> None:
    for stage in load(Path(name), []).recipe.stages:
        answer = answers[f"{name} {platform} {stage.name}"]
        assert answer.problem is None, f"{stage.name}: {answer.problem}"
        said = stage.model_dump().get("llamafactory") or {}
        assert answer.untried == (["deepspeed"] if platform == "cuda" and said.get("deepspeed") else [])


@pytest.mark.smoke
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_told_in_the_trainers_own_words(answers: Answers, name: str) -> None:
    _, stage, said = REFUSED[name]
    problems = {key: answer.problem for key, answer in answers.items() if key.startswith(f"{name} ")}
    assert [key for key, problem in problems.items() if problem] == [f"{name} {stage}"]
    problem = problems[f"{name} {stage}"]
    assert problem is not None
    assert said in problem
    assert "\n" not in problem


@pytest.mark.smoke
@pytest.mark.parametrize("platform", PLATFORMS)
def test_verls_trainer_of_supervised_fine_tuning_is_asked_too(answers: Answers, platform: str) -> None:
    answer = answers[f"verl-sft {platform} sft"]
    assert (answer.problem, answer.facts) == (None, ["76 of 76 rows are left to train on"])


@pytest.mark.smoke
@pytest.mark.parametrize("platform", PLATFORMS)
def test_rows_are_followed_through_the_trainers_own_data_code(answers: Answers, platform: str) -> None:
    sft, one, two = (answers[f"smoke.yaml {platform} {stage}"] for stage in ("sft", "stage-one", "stage-two"))
    assert sft.facts == ["76 of 76 rows are taken, 0 without a label, 0 cut at 512 tokens"]
    assert (one.facts, two.facts) == (["40 of 40 rows are left to train on"], ["36 of 36 rows are left to train on"])
    assert [each.lengths and each.lengths["rows"] for each in (sft, one, two)] == [76, 40, 36]
