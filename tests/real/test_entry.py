"""An entry point outside verl's core, on its legacy trainer: checked, killed, resumed, exported and handed over."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from pipelines.records.steps import read_record
from tests import ROOT
from tests.real.chain import make_chain, wait_for, wait_until_ended

pytestmark = [pytest.mark.real, pytest.mark.nightly]

RECIPE = f"""
name: entry
model: {{make: qwen2, vocabulary: 1024, hidden_size: 64, layers: 2, heads: 2, max_tokens: 1024}}
stages:
  - name: rl
    kind: rl
    algorithm: grpo
    entry: recipe.scaled.main_scaled
    checkout: verl-recipe
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    reward: {{name: tie_break, file: {ROOT}/pipelines/smoke/tie_break.py}}
    steps: 3
    save_every: 2
    validate_every: 2
    keep_best: true
    learning_rate: 0.01
    batch: {{prompts: 4, mini: 4, micro_per_gpu: 2}}
    rollout: {{samples: 2, max_prompt_tokens: 768, max_response_tokens: 32}}
    verl: {{scaling.factor: 0.5}}
"""


def git(checkout: Path, *arguments: str) -> str:
    argv = ["git", "-C", str(checkout), "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "verl-recipe"
    shutil.copytree(ROOT / "tests/real/own_entries", folder, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Scale advantages")
    return folder


def test_an_entry_point_trains_resumes_and_hands_over(tmp_path: Path, checkout: Path, environments: None) -> None:
    (tmp_path / "entry.yaml").write_text(RECIPE)
    with make_chain(str(tmp_path / "entry.yaml"), "entry", tmp_path / "runs") as chain:
        status, _, err = chain.finish("--set", "stages.rl.verl.scaling.fctor=2", command="check")
        assert (status, "did you mean 'factor'?" in err) == (2, True)
        status, out, err = chain.finish(command="check")
        assert status == 0, err
        assert re.search(r"accepts it.*recipe\.scaled\.main_scaled imports.*rows are left to train on", out)
        started = chain.start("--set", "retries=0")
        wait_for((chain.paths("rl").checkpoints / "global_step_2/progress.json").exists, started)
        (supervisor,) = psutil.Process(started.pid).children()
        supervisor.children()[0].kill()
        started.communicate()
        wait_until_ended(chain.directory)
        assert "resumes from the checkpoint at step 2" in chain.complete()
        paths = chain.paths("rl")
        rows = [json.loads(line) for line in paths.metrics.read_text().splitlines()]
        assert [row["step"] for row in rows] == [0, 1, 2, 3]
        # Step 2 may have been killed before it was logged.
        trained = {row["step"]: row for row in rows if "training/global_step" in row}
        assert {1, 3} <= trained.keys()
        for row in trained.values():
            # Two samples of a prompt that differ are one half apart from their mean, in units of their deviation, times 0.5.
            assert row["scaling/largest"] == pytest.approx(0.5 * 0.5**0.5, abs=1e-3)
            assert row["training/rollout_actor_probs_pearson_corr"] > 0.999
            assert row["critic/score/max"] > row["critic/score/min"]
        record = read_record(paths.step("train"))
        assert record is not None and "is exported: best validation score" in record.notes[0]
        commit = git(checkout, "rev-parse", "HEAD")
        assert record.origin["checkout of recipe.scaled.main_scaled"].startswith(f"{commit}, files ")
        facts = json.loads((paths.step("handover") / "log").read_text().splitlines()[-1])
        assert facts["tensors_changed"] > 0
        (checkout / "README.md").write_text("not code")
        assert all(line.endswith("done before") for line in chain.complete().splitlines() if line.startswith("["))
        trainer = checkout / "scaled/trainer.py"
        trainer.write_text(trainer.read_text() + "# changed\n")
        status, out, err = chain.finish(command="plan")
        assert "the code of recipe.scaled.main_scaled changed" in out
