"""What the steps of a run wait for while environments are built."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.checks.preflight import find_late_problems
from pipelines.cli import planning, run
from pipelines.cli.environments import Gate, start_builds
from pipelines.environments import Environment
from pipelines.environments.builds import Builds
from pipelines.environments.pins import pin
from pipelines.errors import InputError, StepError
from pipelines.recipe.loading import Loaded, load
from pipelines.run.display import Display
from pipelines.run.machine import find_machine
from pipelines.run.plan import Plan, Step, make_plan
from tests import ROOT

# SFT by LLaMA-Factory, then RL with a reward that the orchestrator cannot load.
RECIPE = f"""\
name: small
model: {{make: qwen2, vocabulary: 512, hidden_size: 64, layers: 1, heads: 2, max_tokens: 512}}
hardware: {{platform: cpu}}
stages:
  - name: sft
    kind: sft
    data: &data
      train: {{converter: programs_execution, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    steps: 1
    learning_rate: 1.0e-3
  - name: rl
    kind: rl
    algorithm: grpo
    data: *data
    reward: {{name: mine, file: mine.py}}
    steps: 1
    learning_rate: 1.0e-3
    batch: {{prompts: 8, mini: 8}}
    rollout: {{samples: 4, max_prompt_tokens: 256, max_response_tokens: 64}}
"""
NEEDS = """\
import no_such_package
from rewards.registry import register
@register("mine")
def mine(data_source, solution_str, ground_truth, extra_info):
    return 1.0
"""


class Making:
    """Builds that end when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.may_end = {name: threading.Event() for name in ("llamafactory", "verl")}
        self.fails: set[str] = set()
        self.built: set[str] = set()
        monkeypatch.setattr("pipelines.environments.builds.bring_up_to_date", self._sync)
        monkeypatch.setattr(Environment, "why_not_ready", lambda env: None if env.pin.trainer in self.built else "not built")

    def _sync(self, environment: Environment, *_: object) -> None:
        name = environment.pin.trainer
        self.may_end[name].wait()
        if name in self.fails:
            raise StepError(f"{name} cpu: no room")
        self.built.add(name)

    def end_all(self) -> None:
        for event in self.may_end.values():
            event.set()

    def environment(self, name: str) -> Environment:
        return Environment(pin(name), "cpu", Path(sys.executable), "pinned")

    def open(self) -> tuple[Loaded, Plan, dict[str, Environment]]:
        loaded = load(self.tmp_path / "x.yaml")
        environments = {name: self.environment(name) for name in ("llamafactory", "verl")}
        return loaded, make_plan(loaded.recipe, find_machine(environments), self.tmp_path / "run"), environments


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Making]:
    (tmp_path / "x.yaml").write_text(RECIPE)
    (tmp_path / "mine.py").write_text(NEEDS)
    making = Making(monkeypatch, tmp_path)
    yield making
    making.end_all()


Opened = tuple[Gate, Builds, Callable[[str], Step]]


def start(making: Making) -> Opened:
    loaded, plan, environments = making.open()
    display = Display(len(plan.steps))
    builds = start_builds(environments, plan.steps, display).__enter__()
    return Gate(loaded, environments, builds, display), builds, plan.step


def waits(gate: Gate, step: Step) -> threading.Thread:
    """Return a thread that waits for a step."""
    thread = threading.Thread(target=gate.wait, args=(step,), daemon=True)
    thread.start()
    return thread


def test_rows_wait_for_nothing_and_a_model_for_its_own_trainer(making: Making, capsys: pytest.CaptureFixture[str]) -> None:
    gate, builds, step = start(making)
    gate.wait(step("sft/prepare"))
    gate.wait(step("rl/prepare"))
    assert builds.running(["llamafactory", "verl"]) == ["llamafactory", "verl"]
    waiting = waits(gate, step("model"))
    while "model: waiting for the environment of llamafactory" not in capsys.readouterr().out:
        assert waiting.is_alive()
    making.may_end["llamafactory"].set()
    waiting.join()
    assert builds.running(["llamafactory", "verl"]) == ["verl"]


def test_no_training_starts_with_an_unchecked_reward(making: Making) -> None:
    making.may_end["llamafactory"].set()
    gate, builds, step = start(making)
    gate.wait(step("prompts"))
    assert builds.running(["verl"])
    making.may_end["verl"].set()
    with pytest.raises(
        InputError, match=r"mine\.py:1: does not import: ModuleNotFoundError: No module named 'no_such_package'"
    ):
        gate.wait(step("sft/train"))


def test_a_training_starts_without_the_other_environment_if_all_rewards_are_checked(making: Making, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(NEEDS.removeprefix("import no_such_package\n"))
    making.may_end["llamafactory"].set()
    gate, builds, step = start(making)
    gate.wait(step("sft/train"))
    assert builds.running(["verl"]) == ["verl"]
    # verl's environment reads the model that is handed over.
    making.may_end["verl"].set()
    gate.wait(step("sft/handover"))
    assert not builds.running(["verl"])


def test_a_failed_build_ends_the_run_before_the_next_step(making: Making) -> None:
    making.fails.add("verl")
    making.may_end["verl"].set()
    gate, builds, step = start(making)
    while builds.running(["verl"]):
        pass
    with pytest.raises(StepError, match=r"^verl cpu: no room$"):
        gate.wait(step("rl/prepare"))


def test_run_ends_with_one_line_and_without_training(
    making: Making, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The build fails as soon as the step that needs it waits."""
    loaded, _, environments = making.open()
    monkeypatch.setattr(planning, "find_environments", lambda *_: environments)
    making.fails.add("llamafactory")
    monkeypatch.setattr(Display, "waiting", lambda *_: making.end_all())
    with pytest.raises(StepError, match=r"^llamafactory cpu: no room"):
        run.run_recipe(making.tmp_path / "x.yaml", [], making.tmp_path / "runs", None, None, fresh=False, smoke=False)
    records = (making.tmp_path / "runs" / loaded.recipe.name).rglob("record.json")
    assert sorted(file.parent.name for file in records) == ["prepare", "prepare"]
    assert "llamafactory cpu: the build failed" in capsys.readouterr().err


def test_keys_of_an_entry_point_are_checked_in_the_new_environment(
    making: Making, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any stage is trained, also by another trainer."""
    checkout = f"entry: recipe.scaled.main_scaled, checkout: {ROOT}/tests/real/own_entries"
    recipe = RECIPE.replace("reward: {name: mine, file: mine.py}", "reward: white_box\n    verl: {scaling: {fctor: 2}}")
    recipe = recipe.replace("    algorithm: grpo\n", f"    algorithm: grpo\n    {checkout.replace(', ', chr(10) + '    ')}\n")
    (making.tmp_path / "x.yaml").write_text(recipe)
    values = {"scaling.factor": 1.0}
    monkeypatch.setattr("pipelines.checks.entries.read_defaults", lambda *_: {"keys": values})
    loaded, _, environments = making.open()
    assert find_late_problems(loaded, environments) == []
    assert "the keys of recipe.scaled.main_scaled are checked when verl's environment is built" in capsys.readouterr().err
    gate, _, step = start(making)
    making.end_all()
    with pytest.raises(InputError, match=r"x\.yaml:\d+: stages\.rl\.verl\.scaling\.fctor: unknown key; did you mean 'factor'"):
        gate.wait(step("sft/train"))
