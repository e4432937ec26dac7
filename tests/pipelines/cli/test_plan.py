"""`pipeline plan`: brief on a terminal, complete in a pipe; differences from the last run; its exit status."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.digests import Digests
from pipelines.recipe.loading import load
from pipelines.records.steps import StepRecord, read_record, write_record
from pipelines.run import skipping
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan
from tests import ROOT
from tests.pipelines.conftest import Call
from tests.terminal import pipeline, plain, show

CPU = ("--set", "hardware.platform=cpu")


def finish(runs: Path, *sets: str) -> Path:
    """Write the records and files that a finished run of smoke.yaml leaves, without its rows and models."""
    loaded = load(ROOT / "recipes" / "smoke.yaml", ["hardware.platform=cpu", *sets])
    plan = make_plan(loaded.recipe, find_machine(find_environments(loaded.recipe)), runs / "smoke")
    digests = Digests(plan.directory / "digests.json")
    for step in plan.steps:
        step.directory.mkdir(parents=True, exist_ok=True)
        for path in step.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("made")
    for step in plan.steps:
        for name, text in step.launch.files.items():
            (step.directory / name).write_text(text, encoding="utf-8")
        record = StepRecord(skipping.digest_command(step, plan), {}, "complete", execution_id=step.name)
        write_record(step.directory, record)
        record.inputs, record.outputs = skipping.digest_inputs(step, plan, digests), skipping.digest_outputs(step, digests)
        write_record(step.directory, record)
    (plan.directory / "recipe.yaml").write_text(loaded.text(), encoding="utf-8")
    return plan.directory


@pytest.mark.parametrize("columns", [80, 200])
def test_brief_on_a_terminal(columns: int, tmp_path: Path) -> None:
    status, text = show(pipeline("plan", "smoke.yaml", *CPU), columns, tmp_path)
    lines = plain(text).splitlines()
    assert status == 0
    assert "--- sft/train" not in text and "stage-two/handover" in text
    assert [line for line in lines if len(line) > columns and "/" not in line] == []
    assert lines[-1] == "commands and configurations: --full; differences from the last run: --diff"


def test_full_on_a_terminal_and_brief_in_a_pipe(call: Call, tmp_path: Path) -> None:
    _, text = show(pipeline("plan", "smoke.yaml", "--full", *CPU), 80, tmp_path)
    assert "--- sft/train" in text
    _, out, _ = call("plan", "smoke.yaml", *CPU)
    assert "--- sft/train" in out
    _, out, _ = call("plan", "smoke.yaml", "--brief", *CPU)
    assert "--- sft/train" not in out and "stage-two/handover" in out


def test_no_run_yet(call: Call, tmp_path: Path) -> None:
    status, out, _ = call("plan", "smoke.yaml", "--diff", *CPU)
    assert (status, out.splitlines()[0]) == (0, f"no run in {tmp_path}/runs/smoke yet: all 13 steps would run")


def test_no_differences(call: Call, tmp_path: Path) -> None:
    finish(tmp_path / "runs")
    _, out, _ = call("plan", "smoke.yaml", "--diff", *CPU)
    assert out.splitlines()[:2] == ["recipe", "  no differences"]
    assert "would be skipped: sft/prepare, " in out


def test_changed_settings_by_step(call: Call, tmp_path: Path) -> None:
    finish(tmp_path / "runs")
    change = ("--set", "stages.stage-two.learning_rate=2e-4", "--set", "stages.stage-two.max_failed_rewards=0.5")
    _, out, _ = call("plan", "smoke.yaml", "--diff", *CPU, *change)
    recipe, step, *_ = out.split("\n\n")
    assert recipe.splitlines() == [
        "recipe",
        "  stages.stage-two.learning_rate: 0.0001 -> 0.0002",
        "  stages.stage-two.max_failed_rewards: not set -> 0.5",
    ]
    first, *settings = step.splitlines()
    assert first == "stage-two/train would run again:"
    assert settings == ["  actor_rollout_ref.actor.optim.lr: 0.0001 -> 0.0002"], "settings without effect are left out"
    assert "stage-two/handover would run again if stage-two/export changes its input\n" in out
    assert "would be skipped: sft/prepare" in out


def test_a_moved_run_does_not_differ(call: Call, tmp_path: Path) -> None:
    finish(tmp_path / "elsewhere")
    shutil.move(tmp_path / "elsewhere", tmp_path / "runs")
    _, out, _ = call("plan", "smoke.yaml", "--diff", *CPU, "--set", "stages.sft.learning_rate=1e-3")
    assert "elsewhere" not in out
    assert re.search(r"^  learning_rate: 0.005 -> 0.001$", out, re.M)


def test_damaged_files_are_compared_by_lines(call: Call, tmp_path: Path) -> None:
    directory = finish(tmp_path / "runs")
    (directory / "recipe.yaml").write_text("[")
    (directory / "stages/sft/train/train.yaml").write_text("a: [")
    (directory / "stages/sft/train/record.json").write_text(json.dumps({"command": "x", "inputs": {}, "outcome": "complete"}))
    status, out, err = call("plan", "smoke.yaml", "--diff", *CPU)
    assert (status, err) == (0, "")
    assert "sft/train would run again" in out


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("stages.sft.data.train=[{converter: nothing, source: x.jsonl}]", 2),
        ("stages.stage-one.reward=nothing", 2),
        ("stages.stage-one.reward={name: white_box, options: {nothing: 1}}", 2),
        ("model=./no-model", 0),
        ("stages.stage-one.reward={name: mine, file: ./mine.py}", 0),
        ("environments.verl=/no/such/python", 0),
    ],
)
def test_exit_status(change: str, status: int, call: Call) -> None:
    """2: no machine could run the recipe; 0: only this machine lacks something."""
    found, out, err = call("plan", "smoke.yaml", *CPU, "--set", change)
    assert found == status
    # A mistake that is found when the recipe is planned is an error at once.
    assert "`pipeline run` would refuse this recipe" in out or err.startswith("error: ")


HEAVY = {
    *("asyncio", "doctest", "jinja2", "psutil", "pyarrow", "rich", "ssl", "torch"),
    *("pipelines.checks.samples", "pipelines.console.progress", "pipelines.environments.builds", "pipelines.records.runs"),
    *("pipelines.evaluation.finding", "pipelines.evaluation.summary", "pipelines.run.export", "pipelines.run.process"),
    *("preprocess.attribute_texts", "preprocess.engine", "rewards.sandbox.background", "rewards.sandbox.local.sandbox"),
}
"""What running, checking or showing needs. Planning is timed by `benchmarks/refusals`, and these are what made it slow."""


def test_plans_import_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from pipelines.cli.main import main\n"
    code += "for name in sys.argv[1:]:\n    sys.argv = ['pipeline', 'plan', name, '--brief']\n"
    code += "    try: main()\n    except SystemExit as end: assert end.code == 0, name\n"
    code += f"print(*sorted({HEAVY} & {{*sys.modules}}), file=sys.stderr)"
    names = [f"{name}.yaml" for name in ("execverify", "smoke", "bootcamp", "custom_sft", "python_interpreter")]
    done = subprocess.run([sys.executable, "-c", code, *names], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == ""


def test_unusual_numbers_are_warnings(call: Call) -> None:
    given = "stages.stage-one.rollout.temperature"
    status, _, err = call("plan", "smoke.yaml", *CPU, "--set", f"{given}=1.9")
    assert status == 0
    assert err == f"warning: --set {given}: found 1.9; usual is 0.3 to 1.5\n"
    status, _, err = call("plan", "smoke.yaml", *CPU, "--set", f"{given}=100")
    assert status == 2
    assert err.startswith("error: ")


def test_flash_attention_on_a_machine_without_gpus(call: Call) -> None:
    key = "stages.stage-one.verl.actor_rollout_ref.model.override_config.attn_implementation"
    given = ("smoke.yaml", *CPU, "--set", f"{key}=flash_attention_2", "--set", "stages.sft.llamafactory.flash_attn=fa2")
    status, out, _ = call("plan", *given)
    assert status == 2
    assert "flash_attention_2 is for GPUs; on a CPU, use sdpa or eager" in out
    assert "fa2 is for GPUs; on a CPU, use sdpa or disabled" in out
    status, _, err = call("run", *given)
    assert status == 2 and "flash_attention_2 is for GPUs" in err
    status, out, _ = call("plan", "--smoke", *given)
    assert status == 0
    removed = [line.split()[0] for line in out.splitlines() if line.endswith("for GPUs")]
    assert removed == ["sft.llamafactory.flash_attn", key.removeprefix("stages.")]


def test_a_reward_that_is_not_ready_here(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from rewards.registry import register\n"
        "def ready(): raise KeyError('MY_KEY')\n"
        "@register('mine', ready=ready)\n"
        "def mine(data_source, solution_str, ground_truth, extra_info): return 0.0\n"
    )
    status, out, _ = call("plan", "smoke.yaml", *CPU, "--set", "stages.stage-one.reward={name: mine, file: ./mine.py}")
    assert status == 0
    assert "reward mine is not ready: KeyError: 'MY_KEY'" in out


def test_gpus_that_this_machine_lacks(call: Call) -> None:
    status, out, _ = call("plan", "custom_sft.yaml", "--brief")
    assert status == 0
    assert "`pipeline run` would refuse this recipe on this machine:" in out


def test_hostile_text_in_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text('extends: smoke.yaml\nmodel: "/no/\\x1b]0;title\\x07"\n')
    _, text = show(pipeline("plan", "mine.yaml", *CPU), 80, tmp_path)
    assert "\x1b]0" not in text


def test_steps_that_something_else_executed_are_listed_and_refused(call: Call, tmp_path: Path) -> None:
    folder = finish(tmp_path / "runs") / "stages" / "sft" / "train"
    status, out, _ = call("plan", "smoke.yaml", "--strict", *CPU)
    assert status == 0 and "executed differently" not in out
    record = read_record(folder)
    assert record is not None
    record.versions, record.origin = {"llamafactory": "0.9.4"}, {"lock": "0123", "host": "elsewhere"}
    write_record(folder, record)
    status, out, _ = call("plan", "smoke.yaml", "--brief", *CPU)
    assert status == 0
    listed = out[out.index("complete steps were executed differently") :].splitlines()[1:]
    assert "  llamafactory: 0.9.4 -> 0.9.5  (sft/train)" in listed
    assert any(re.fullmatch(r"  lock: 0123 -> [0-9a-f]{16}  \(sft/train\)", line) for line in listed)
    assert not any("host" in line for line in listed)
    assert "run: " not in out, "a difference re-runs nothing"
    assert call("plan", "smoke.yaml", "--strict", *CPU)[0] == 2
    status, _, err = call("run", "smoke.yaml", "--strict", *CPU)
    assert status == 2
    assert "error: --strict: llamafactory: 0.9.4 -> 0.9.5 in sft/train\n" in err
    assert err.rstrip().endswith("run without --strict to keep these steps, or with --fresh to run them again")
    assert read_record(folder) == record
