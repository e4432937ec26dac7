"""The shipped smoke recipe through the real trainers, from rows to a model, killed on the way.

One run directory is used by all tests here, in the order in which they stand: each goes on where the last one ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.models.parameters import count_parameters
from pipelines.recipe.loading import load
from pipelines.run import process
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan, stage_paths, trainer_module
from pipelines.run.scratch import scratch_folder
from pipelines.trainers.base import StagePaths

pytestmark = pytest.mark.smoke


STAGES = ("sft", "stage-one", "stage-two")


class Chain:
    """`pipeline … smoke.yaml` on one run directory."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder
        self.directory = folder / "smoke"
        self.said = ""

    def start(self, *options: str, command: str = "run") -> subprocess.Popen[str]:
        pipeline = Path(sys.executable).with_name("pipeline")
        argv = [str(pipeline), command, "smoke.yaml", "--runs", str(self.runs), *options]
        # a platform of its own: the test is the same on a machine with GPUs
        argv += ["--set", "hardware.platform=cpu"]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, *options: str, command: str = "run") -> tuple[int, str, str]:
        started = self.start(*options, command=command)
        out, err = started.communicate()
        print(out, err)
        return started.returncode, out, err

    def paths(self, stage: str) -> StagePaths:
        return stage_paths(self.directory, stage)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> Iterator[Chain]:
    for trainer in ("llamafactory", "verl"):
        trainer_python(trainer)
    made = Chain(tmp_path_factory.mktemp("runs"))
    yield made
    process.end_leftovers(made.directory)
    shutil.rmtree(made.runs)
    shared_memory = [*Path("/dev/shm").glob(f"*{scratch_folder(made.directory).name}*")]
    assert not shared_memory, "shared memory was left behind"


def wait_for(condition: Callable[[], bool], started: subprocess.Popen[str], seconds: float = 400) -> None:
    """Waits for something that a run is about to do; fails with its output if it ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if started.poll() is not None:
            pytest.fail(f"ended too early: {started.communicate()}")
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def wait_until_nothing_runs(chain: Chain) -> None:
    wait_until_ended(chain.directory)


def wait_until_ended(directory: Path) -> None:
    """Waits until no process of a run is left, nor what it put into temporary places."""
    deadline = time.monotonic() + 20
    while left := process.find_processes(directory):
        assert time.monotonic() < deadline, f"left running: {left.values()}"
        time.sleep(0.2)
    assert not scratch_folder(directory).exists()


def test_kill_9_in_sft(chain: Chain) -> None:
    started = chain.start()
    checkpoints = chain.paths("sft").checkpoints
    wait_for(lambda: any(checkpoints.glob("checkpoint-*/trainer_state.json")), started)
    refused, _, said = chain.finish()
    assert refused == 2
    assert f"is in use by another `pipeline run`, process {started.pid}" in said
    started.kill()
    started.communicate()
    wait_until_nothing_runs(chain)


def test_ctrl_c_in_stage_one(chain: Chain) -> None:
    started = chain.start()
    wait_for(chain.paths("sft").model.exists, started)
    assert "Resuming training from" in (chain.paths("sft").step("train") / "log").read_text()
    log = chain.paths("stage-one").step("train") / "log"
    wait_for(lambda: log.exists() and "ray" in log.read_text().lower(), started)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "stopped; go on with: pipeline run smoke.yaml" in err
    wait_until_nothing_runs(chain)


def test_kill_9_of_the_trainer_in_stage_one(chain: Chain) -> None:
    started = chain.start()
    checkpoints = chain.paths("stage-one").checkpoints
    wait_for((checkpoints / "latest_checkpointed_iteration.txt").exists, started)
    (supervisor,) = psutil.Process(started.pid).children()
    supervisor.children()[0].kill()
    _, err = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "stage-one/train was killed by signal 9" in err
    wait_until_nothing_runs(chain)


def test_the_same_command_goes_on_to_the_end(chain: Chain) -> None:
    status, out, err = chain.finish()
    assert status == 0, err
    assert "goes on from the checkpoint at step 1" in out
    chain.said = out
    assert f"model: {chain.paths('stage-two').model}" in out
    assert not (chain.directory / "replaced").exists(), "nothing was trained twice from the beginning"
    wait_until_nothing_runs(chain)


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_leaves_its_evidence(chain: Chain, stage: str) -> None:
    paths = chain.paths(stage)
    for step in ("prepare", "train", "handover"):
        assert json.loads((paths.step(step) / "record.json").read_text())["outcome"] == "complete"
        assert os.access(paths.step(step) / "command.sh", os.X_OK)
    counted = json.loads(paths.prompts.read_text())["files"]
    assert counted["train"]["rows"] > 0 and counted["train"]["over"] == 0
    steps = [json.loads(line)["step"] for line in paths.metrics.read_text().splitlines()]
    rhythm = 10 if stage == "sft" else 1  # the recipe's logging_steps
    assert steps == sorted(set(steps)), "each step once"
    lost = {*range(rhythm, steps[-1] + 1, rhythm)} - {*steps}
    # a kill between verl's checkpoint and its log loses a step's metrics, which is said
    assert not lost or (lost == {1} and "the metrics of step 1 were lost" in chain.said)
    assert (paths.model / "config.json").exists()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The same recipe, run in one go."""
    made = Chain(tmp_path_factory.mktemp("unbroken"))
    status, _, err = made.finish()
    assert status == 0, err
    yield made
    shutil.rmtree(made.runs)


@pytest.mark.parametrize("stage", STAGES)
def test_the_end_is_as_if_nothing_had_happened(chain: Chain, unbroken: Chain, stage: str) -> None:
    weights = [each.paths(stage).model / "model.safetensors" for each in (chain, unbroken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_sft_learned(chain: Chain) -> None:
    losses = [json.loads(line)["loss"] for line in chain.paths("sft").metrics.read_text().splitlines()]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("stage", ["stage-one", "stage-two"])
def test_rewards_are_not_all_alike_and_the_rollout_is_the_policy(chain: Chain, stage: str) -> None:
    rows = [json.loads(line) for line in chain.paths(stage).metrics.read_text().splitlines()]
    assert any(row["critic/score/max"] > row["critic/score/min"] for row in rows)
    assert any(row["critic/score/max"] > 0 for row in rows)
    # in float32 the sampler and the trainer agree to rounding: the weights really reached vLLM (FSDP2 -> vLLM, verl 0.9.1)
    assert all(row["training/rollout_actor_probs_pearson_corr"] > 0.999 for row in rows)


@pytest.mark.parametrize("stage", STAGES)
def test_as_much_is_saved_as_pipeline_check_says(chain: Chain, stage: str) -> None:
    recipe = load(chain.directory / "recipe.yaml").recipe
    environments = find_environments(recipe)
    plan = make_plan(recipe, find_machine(recipe, environments), chain.directory)
    parameters = count_parameters(str(chain.directory / "model"))
    assert parameters is not None
    (trained,) = (each for each in recipe.stages if each.name == stage)
    expected = trainer_module(trained).saved(trained, plan.context(trained), parameters)
    paths = chain.paths(stage)
    newest = max(
        paths.checkpoints.glob("checkpoint-*" if stage == "sft" else "global_step_*"), key=lambda path: path.stat().st_mtime
    )
    large = ("model.safetensors", "optimizer.pt", "model_*.pt", "optim_*.pt")
    saved = sum(file.stat().st_size for pattern in large for file in newest.rglob(pattern))
    assert saved == pytest.approx(expected.checkpoint, rel=0.1)
    exported = (paths.checkpoints if stage == "sft" else paths.export) / "model.safetensors"
    assert exported.stat().st_size == pytest.approx(expected.export, rel=0.1)
    assert exported.samefile(paths.model / "model.safetensors"), "what is handed on takes no space of its own"


def test_a_finished_run_does_nothing(chain: Chain) -> None:
    status, out, err = chain.finish()
    assert status == 0, err
    steps = [line for line in out.splitlines() if line.startswith("[")]
    assert len(steps) == 13 and all(line.endswith("done before") for line in steps)


def test_a_changed_stage_two_leaves_the_others_alone(chain: Chain) -> None:
    status, out, err = chain.finish("--set", "stages.stage-two.learning_rate=0.0002", command="plan")
    assert status == 0, err
    told = dict(line.split(None, 2)[1:] for line in out.splitlines() if line[:3].strip().isdigit())
    again = {name: why for name, why in told.items() if not why.startswith("skip")}
    assert list(again) == ["stage-two/train", "stage-two/export", "stage-two/handover"]
    assert again["stage-two/train"].startswith("run: train.yaml changed: lr:")


def test_command_sh_works_by_hand(chain: Chain) -> None:
    export = chain.paths("stage-two").export
    shutil.rmtree(export)
    script = chain.paths("stage-two").step("export-model") / "command.sh"
    subprocess.run([script], check=True, env={"PATH": os.defpath}, capture_output=True)
    assert list(export.glob("*.safetensors"))
