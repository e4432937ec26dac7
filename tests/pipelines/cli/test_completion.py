"""Shell completion: recipes, stages, runs and keys; silent on mistakes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.terminal import pipeline


def complete(folder: Path, line: str) -> list[str]:
    """Return what bash would offer for a command line; its last word is incomplete."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_PIPELINE_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(pipeline(), cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_commands_and_options(tmp_path: Path) -> None:
    assert complete(tmp_path, "pipeline pl") == ["plan"]
    assert complete(tmp_path, "pipeline plan smoke.yaml --un") == ["--until"]


def test_recipes(tmp_path: Path) -> None:
    (tmp_path / "smart.yaml").touch()
    assert complete(tmp_path, "pipeline run sm") == ["smart.yaml", "smoke.yaml", "smoke_interpreter.yaml", "smoke_real.yaml"]
    assert complete(tmp_path, "pipeline init mine --from exec") == ["execverify.yaml"]


def test_stages_of_the_recipe(tmp_path: Path) -> None:
    assert complete(tmp_path, "pipeline run execverify.yaml --until stage") == ["stage-one", "stage-two"]


def test_keys_with_the_recipes_stages(tmp_path: Path) -> None:
    assert complete(tmp_path, "pipeline run smoke.yaml --set stages.stage-one.rollout.te") == [
        "stages.stage-one.rollout.temperature=",
        "stages.stage-one.rollout.tensor_parallel=",
    ]
    assert complete(tmp_path, "pipeline run smoke.yaml --set stages.sft.temp") == ["stages.sft.template="]
    assert complete(tmp_path, "pipeline explain rollout.sam") == ["rollout.samples"]
    assert "actor_rollout_ref.rollout.n" in complete(tmp_path, "pipeline explain actor_rollout_ref.rollout.n")


def test_runs_and_their_stages(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one" / "stages" / "sft").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "recipe.yaml").write_text("name: one\nstages: [{name: sft, kind: sft}]\n")
    (tmp_path / "runs" / "other").mkdir()
    assert complete(tmp_path, "pipeline evaluate runs/o") == ["runs/one"]
    assert complete(tmp_path, "pipeline evaluate runs/one/s") == ["runs/one/sft"]


def test_names(tmp_path: Path) -> None:
    assert complete(tmp_path, "pipeline algorithms dr") == ["dr_grpo"]
    assert complete(tmp_path, "pipeline evaluate model --on human") == ["humaneval", "humaneval-plus"]
    assert complete(tmp_path, "pipeline rewards try white") == ["white_box"]
    assert complete(tmp_path, "pipeline data convert leet") == ["leetcode"]


@pytest.mark.parametrize(
    "line",
    [
        "pipeline run nothing.yaml --until s",
        "pipeline run broken.yaml --set s",
        "pipeline evaluate nowhere/r",
        "pipeline nothing x",
    ],
)
def test_a_mistake_completes_nothing(line: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("stages: [")
    assert complete(tmp_path, line) == []


def test_installed_in_bash(tmp_path: Path) -> None:
    """Install it into an empty home folder, and let bash complete a stage."""
    variables = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = pipeline("--install-completion", "bash")
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    typed = "pipeline run smoke.yaml --until stage-o"
    script = f"""
        . ~/.bashrc
        COMP_WORDS=({typed}); COMP_CWORD=4
        _pipeline_completion {pipeline()[0]}
        echo "${{COMPREPLY[@]}}"
    """
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    shown = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (shown.stdout, shown.stderr) == ("stage-one\n", "")
