"""Mistakes in a stage's rewards: a line each, with file and line of the recipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pipelines.checks.preflight import find_problems
from pipelines.cli import run
from pipelines.environments import Environment
from pipelines.errors import InputError
from pipelines.recipe.loading import load
from pipelines.recipe.problems import RecipeError
from pipelines.recipe.schema import RlStage
from pipelines.run.plan import Machine, make_plan
from tests import ROOT

HEAD = """\
name: small
model: org/model
stages:
  - name: rl
    kind: rl
    algorithm: grpo
    data: {train: {converter: execverify_rl, source: org/rows}, validation: {fraction: 0.1}}
    steps: 4
    learning_rate: 1e-6
    batch: {prompts: 8, mini: 4}
    rollout: {samples: 8, max_prompt_tokens: 256, max_response_tokens: 256}
"""

PLUGIN = """\
from rewards.registry import register
@register("mine")
def mine(data_source, solution_str, ground_truth, extra_info, *, style: Literal["plain", "fancy"] = "plain"):
    return 1.0
"""


@dataclass(frozen=True)
class Verl:
    """The parts of verl's environment that the checks use."""

    python: Path = Path(sys.executable)
    built: bool = True
    pinned: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)

    def is_ready(self) -> bool:
        return self.built


Found = Callable[..., list[str]]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    """Return the problems of a recipe whose last key is the reward, with the plugin own/mine.py next to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text("from typing import Literal\n" + PLUGIN)

    def find(reward: str, verl: Any = None) -> list[str]:
        Path("x.yaml").write_text(HEAD + dedent(reward).replace("\n", "\n    ").rstrip(" ").join(["    ", ""]))
        loaded = load(Path("x.yaml"))
        machine = Machine("cpu", Path("python"), {"verl": Path("python")}, {"verl": Path("checkout")})
        plan = make_plan(loaded.recipe, machine, tmp_path / "run")
        files = {name: path for name, path in plan.step("rl/train").inputs.items() if name.startswith("reward file")}
        stage = loaded.recipe.stages[0]
        assert isinstance(stage, RlStage)
        assert set(files.values()) == {reward.file for reward in stage.rewards if reward.file}
        environment: Any = verl or Verl()
        return find_problems(loaded, machine, {"verl": environment})

    return find


@pytest.mark.parametrize(
    "reward",
    [
        "reward: white_box",
        "reward: {name: white_box, options: {best: 1}, weight: 2}",
        "reward: {name: mine, file: own/mine.py, options: {style: fancy}}",
        "reward: [{name: mine, file: own/mine.py, data_source: a/*, weight: -0.5}, {name: white_box}]\nmax_failed_rewards: 0",
    ],
)
def test_correct_rewards(found: Found, reward: str) -> None:
    assert found(reward) == []


@pytest.mark.parametrize(
    ("reward", "problems"),
    [
        ("reward: white_bix", ["x.yaml:12: stages.rl.reward: no reward is called 'white_bix'; did you mean 'white_box'?"]),
        (
            "reward:\n  name: white_box\n  options: {bst: 2.0}",
            ["x.yaml:12: stages.rl.reward: reward white_box has no option 'bst'; did you mean 'best'?"],
        ),
        (
            """\
            reward:
              - {name: white_box, options: {best: two}}
              - {name: mine, file: own/mine.py, options: {style: fency}}
              - {name: mien, file: own/mine.py}
              - {name: mine, file: own/mien.py}
            """,
            [
                "x.yaml:13: stages.rl.reward.white_box: reward white_box: option best is 'two', expected float such as 2.0",
                "x.yaml:14: stages.rl.reward.mine: reward mine: option style is 'fency', expected 'plain' or 'fancy'; "
                "did you mean 'fancy'?",
                "x.yaml:15: stages.rl.reward.mien: {folder}/own/mine.py registers no reward called 'mien'; "
                "did you mean 'mine'?",
                "x.yaml:16: stages.rl.reward.mine: plugin file {folder}/own/mien.py not found; "
                "did you mean '{folder}/own/mine.py'?",
            ],
        ),
    ],
)
def test_wrong_rewards(found: Found, tmp_path: Path, reward: str, problems: list[str]) -> None:
    assert found(reward) == [line.replace("{folder}", str(tmp_path)) for line in problems]


NEEDS = "import no_such_package\n" + PLUGIN


def test_a_file_that_needs_a_trainers_package_is_loaded_in_the_trainers_python(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here the trainer's Python is this one, with the package on its path."""
    (tmp_path / "own" / "needs.py").write_text("from typing import Literal\n" + NEEDS)
    (tmp_path / "there").mkdir()
    root = str(ROOT)
    without = Verl(variables={"PYTHONPATH": root})
    reward = "reward: {name: mine, file: own/needs.py}"
    place = "x.yaml:12: stages.rl.reward: "
    missing = f"{tmp_path}/own/needs.py:2: does not import: ModuleNotFoundError: No module named 'no_such_package'"
    assert found(reward, without) == [place + missing]
    (tmp_path / "there" / "no_such_package.py").touch()
    there = Verl(variables={"PYTHONPATH": f"{root}:{tmp_path / 'there'}"})
    assert found(reward, there) == []
    assert found("reward: {name: mien, file: own/needs.py}", there) == [
        f"{place}{tmp_path}/own/needs.py registers no reward called 'mien'; did you mean 'mine'?"
    ]
    assert capsys.readouterr().err == ""
    assert found(reward, Verl(built=False)) == []
    assert capsys.readouterr().err == f"note: {place}{missing}; checked when the environment is built\n"


@pytest.mark.parametrize(
    ("reward", "problem"),
    [
        ("reward: []", "x.yaml:12: stages.rl.reward: found an empty list, expected at least 1 item"),
        ("reward: [white_box]", "x.yaml:12: stages.rl.reward[0]: found the text 'white_box', expected a mapping"),
        ("reward: {name: white_box, wieght: 2}", "x.yaml:12: stages.rl.reward.wieght: unknown key; did you mean 'weight'?"),
        (
            "reward: [{name: white_box, weight: a}]",
            "x.yaml:12: stages.rl.reward.white_box.weight: found the text 'a', expected a number",
        ),
        (
            "reward: {name: white_box, data_source: x}",
            "x.yaml:4: stages.rl: reward.data_source: a single reward scores every row; use a list of rewards for patterns",
        ),
        ("reward: white_box\nmax_failed_rewards: 2", "x.yaml:13: stages.rl.max_failed_rewards: found 2, expected at most 1"),
    ],
)
def test_schema_errors(found: Found, reward: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        found(reward)
    assert str(caught.value) == problem


def test_a_missing_package_of_a_reward_is_reported(
    found: Found, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    [problem] = found("reward: bootcamp\n")
    assert problem.startswith(
        "x.yaml:12: stages.rl.reward: reward bootcamp: the package internbootcamp is not installed; install it"
    )
    assert problem.endswith(f"uv pip install --python {sys.executable} -e ./InternBootcamp")
    assert found("reward: bootcamp\n", Verl(built=False)) == []
    assert capsys.readouterr().err.endswith("; checked when the environment is built\n")
    (tmp_path / "packages" / "internbootcamp").mkdir(parents=True)
    (tmp_path / "packages" / "internbootcamp" / "__init__.py").touch()
    assert found("reward: bootcamp\n", Verl(variables={"PYTHONPATH": str(tmp_path / "packages")})) == []
    monkeypatch.setitem(globals(), "HEAD", 'sandbox: {url: "http://localhost:8080"}\n' + HEAD)
    assert found("reward: bootcamp\n") == []


def test_a_missing_package_is_reported_when_the_environment_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the built environment is a script that starts this Python, which lacks the package, too."""
    folder, built = tmp_path / "environments" / "verl" / "cpu" / "bin", []

    def build(environment: Environment, *_: object) -> None:
        folder.mkdir(parents=True)
        (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (folder / "python").chmod(0o755)
        built.append((environment.pin.trainer, environment.platform))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.setattr("pipelines.environments.builds.bring_up_to_date", build)
    monkeypatch.setattr(Environment, "why_not_ready", lambda self: None if built else "not built")
    rows = ROOT / "preprocess/converters/examples/bootcamp"
    Path("x.yaml").write_text(
        HEAD.replace("execverify_rl, source: org/rows", f"bootcamp, source: {rows}") + "    reward: bootcamp\n"
    )
    # Two of the example's rows are wrong.
    sets = ["hardware.platform=cpu", "stages.rl.data.max_rejects=1", "stages.rl.batch.prompts=1", "stages.rl.batch.mini=1"]
    with pytest.raises(InputError, match="the package internbootcamp is not installed; install it") as error:
        run.run_recipe(Path("x.yaml"), sets, tmp_path / "runs", None, None, fresh=False, smoke=False)
    assert built == [("verl", "cpu")]
    assert f"--python {sys.executable} " in str(error.value)
    steps = [file.parent.name for file in (tmp_path / "runs" / "small").rglob("record.json")]
    assert set(steps) <= {"prepare"}, "only rows may be prepared while the environment is built"
