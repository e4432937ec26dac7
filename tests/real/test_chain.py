"""smoke.yaml with the real trainers, killed and resumed: SFT -> GRPO -> GRPO.

All tests use one run directory, in order.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.models.parameters import count_parameters
from pipelines.recipe.loading import load
from pipelines.records.samples import read_samples
from pipelines.records.steps import read_record
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import make_plan, trainer_module
from tests.real.chain import Chain, make_chain, wait_for, wait_until_ended

pytestmark = pytest.mark.real

STAGES = ("sft", "stage-one", "stage-two")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, environments: None) -> Iterator[Chain]:
    with make_chain("smoke.yaml", "smoke", tmp_path_factory.mktemp("runs")) as chain:
        yield chain


@pytest.fixture(scope="module")
def output(chain: Chain) -> str:
    """Kill -9 the trainer of the first stage; return the output of the run that then completes.

    The nightly tier kills one during GRPO: each start of verl takes a minute and a half of CPU time.
    """
    started = chain.start("--set", "retries=0")
    wait_for((chain.directory / "owner").exists, started)
    refused, _, err = chain.finish()
    assert refused == 2
    assert f"is in use by another `pipeline run`, process {started.pid}" in err
    wait_for(lambda: any(chain.paths("sft").checkpoints.glob("checkpoint-*/trainer_state.json")), started)
    (supervisor,) = psutil.Process(started.pid).children()
    supervisor.children()[0].kill()
    _, err = started.communicate()
    assert started.returncode == 1
    assert "sft/train was killed by signal 9" in err
    wait_until_ended(chain.directory)
    out = chain.complete()
    wait_until_ended(chain.directory)
    return out


def test_killed_run_resumes(chain: Chain, output: str) -> None:
    assert re.search("resumes from the checkpoint at step (150|300)", output)
    assert f"model: {chain.paths('stage-two').model}" in output
    assert f"  pipeline chat {chain.directory}" in output
    assert not (chain.directory / "replaced").exists(), "nothing was trained twice from the beginning"


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_leaves_its_files(chain: Chain, output: str, stage: str) -> None:
    paths = chain.paths(stage)
    for step in ("prepare", "train", "handover"):
        record = read_record(paths.step(step))
        assert record is not None and record.outcome == "complete"
        assert os.access(paths.step(step) / "command.sh", os.X_OK)
    counted = json.loads(paths.prompts.read_text())["files"]
    assert counted["train"]["rows"] > 0 and counted["train"]["over"] == 0
    steps = [json.loads(line)["step"] for line in paths.metrics.read_text().splitlines()]
    interval = 10 if stage == "sft" else 1  # the recipe's logging_steps
    assert steps == [*range(interval, steps[-1] + 1, interval)], "each step once"
    assert (paths.model / "config.json").exists()


def test_sft_loss_falls(chain: Chain, output: str) -> None:
    losses = [json.loads(line)["loss"] for line in chain.paths("sft").metrics.read_text().splitlines()]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("stage", ["stage-one", "stage-two"])
def test_rewards_differ_and_the_rollout_is_the_policy(chain: Chain, output: str, stage: str) -> None:
    rows = [json.loads(line) for line in chain.paths(stage).metrics.read_text().splitlines()]
    assert any(row["critic/score/max"] > row["critic/score/min"] for row in rows)
    assert any(row["critic/score/max"] > 0 for row in rows)
    # In float32 the rollout and the trainer agree to rounding: the weights reached vLLM (FSDP2 -> vLLM, verl 0.9.1).
    assert all(row["training/rollout_actor_probs_pearson_corr"] > 0.999 for row in rows)


@pytest.mark.parametrize("stage", ["stage-one", "stage-two"])
def test_samples_say_why_they_have_their_rewards(chain: Chain, output: str, stage: str) -> None:
    samples = list(read_samples(chain.paths(stage), "train"))
    assert [each.step for each in samples] == 16 * [1] + 16 * [2]
    for each in samples:
        assert each.source and each.row and each.prompt and each.truth
        assert each.reason or each.values["accuracy"] == 1.0


@pytest.mark.parametrize("stage", STAGES)
def test_checkpoints_have_the_size_that_check_estimates(chain: Chain, output: str, stage: str) -> None:
    recipe = load(chain.directory / "recipe.yaml").recipe
    plan = make_plan(recipe, find_machine(find_environments(recipe)), chain.directory)
    parameters = count_parameters(str(chain.directory / "model"))
    assert parameters is not None
    (trained,) = (each for each in recipe.stages if each.name == stage)
    expected = trainer_module(trained).disk_usage(trained, plan.context(trained), parameters)
    paths = chain.paths(stage)
    newest = max(
        paths.checkpoints.glob("checkpoint-*" if stage == "sft" else "global_step_*"), key=lambda path: path.stat().st_mtime
    )
    large = ("model.safetensors", "optimizer.pt", "model_*.pt", "optim_*.pt")
    saved = sum(file.stat().st_size for pattern in large for file in newest.rglob(pattern))
    assert saved == pytest.approx(expected.checkpoint, rel=0.1)
    exported = (paths.checkpoints if stage == "sft" else paths.export) / "model.safetensors"
    assert exported.stat().st_size == pytest.approx(expected.export, rel=0.1)
    assert exported.samefile(paths.model / "model.safetensors"), "the hand-over links its files"


def test_complete_run_is_skipped(chain: Chain, output: str) -> None:
    steps = [line for line in chain.complete().splitlines() if line.startswith("[")]
    assert len(steps) == 13 and all(line.endswith("done before") for line in steps)


def test_a_changed_stage_two_re_runs_only_stage_two(chain: Chain, output: str) -> None:
    status, out, err = chain.finish("--set", "stages.stage-two.learning_rate=0.0002", command="plan")
    assert status == 0, err
    reasons = dict(line.split(None, 2)[1:] for line in out.splitlines() if line[:3].strip().isdigit())
    runs = {name: why for name, why in reasons.items() if not why.startswith("skip")}
    assert list(runs) == ["stage-two/train", "stage-two/export", "stage-two/handover"]
    assert runs["stage-two/train"].startswith("run: train.yaml changed: lr:")


def test_command_sh_runs_without_this_project(chain: Chain, output: str) -> None:
    export = chain.paths("stage-two").export
    shutil.rmtree(export)
    script = chain.paths("stage-two").step("export-model") / "command.sh"
    subprocess.run([script], check=True, env={"PATH": os.defpath}, capture_output=True)
    assert list(export.glob("*.safetensors"))


def test_a_checkpoint_of_verl_is_exported(chain: Chain, output: str, tmp_path: Path) -> None:
    """verl merges it and the hand-over's checks pass: the same bytes as the model that the stage handed over."""
    pipeline, target = Path(sys.executable).with_name("pipeline"), tmp_path / "exported"
    argv = [str(pipeline), "export", str(chain.directory), "stage-one", "--step", "2", "-o", str(target), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    model = chain.paths("stage-one").model
    names = {each.name for each in target.iterdir()}
    assert names == {each["name"] for each in json.loads(done.stdout)["files"]} == {each.name for each in model.iterdir()}
    for name in names - {"README.md"}:
        assert (target / name).read_bytes() == (model / name).read_bytes()
        assert not (target / name).samefile(model / name)
    assert "# smoke: stage-one@2\n" in (target / "README.md").read_text()
    card = (model / "README.md").read_text()
    assert "# smoke: stage-one\n" in card and "SFT (LLaMA-Factory), then grpo (verl)" in card
    assert re.search(r"- Trained with: code-post-training \S+, llamafactory 0\.9\.5, verl 0\.9\.1\n", card)
    assert str(chain.runs) not in card
