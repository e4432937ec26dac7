"""Mistakes in a recipe that would cost GPU time: `pipeline check` and `run` print a line for each and start nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli import main as cli

# Settings over the shipped execverify.yaml (8 GPUs; GRPO, 128 prompts in mini batches of 64, 8 samples; tensor parallel 4), and
# what the line must contain.
MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "an unknown algorithm": (
        ["stages.stage-one.algorithm=gropo"],
        ["algorithm", "'gropo'", "did you mean 'grpo'?"],
    ),
    "PPO without critic settings": (["stages.stage-one.algorithm=ppo"], ["ppo", "critic"]),
    "one sample with GRPO": (
        ["stages.stage-one.rollout.samples=1"],
        ["grpo", "rollout.samples is 1", "expected at least 2"],
    ),
    "mini batches that do not divide the step": (
        ["stages.stage-one.batch.mini=48"],
        ["batch.prompts 128 is not a multiple of batch.mini 48"],
    ),
    "a step that does not divide the GPUs": (
        ["stages.stage-one.batch={prompts: 9, mini: 9}", "stages.stage-one.rollout.samples=4"],
        ["9 prompts x 4 samples = 36 responses per step", "8 GPUs", "multiples of 2"],
    ),
    "an update that does not divide the GPUs": (
        ["stages.stage-one.batch={prompts: 14, mini: 7}", "stages.stage-one.rollout.samples=4"],
        ["7 prompts x 4 samples = 28 responses per update", "8 GPUs", "use 2 or 14 prompts"],
    ),
    "forward passes that do not divide an update": (
        ["stages.stage-one.batch.micro_per_gpu=5"],
        ["5 responses per forward pass", "64 of each GPU", "use 4 or 8"],
    ),
    "tensor parallelism that does not divide the GPUs": (
        ["stages.stage-one.rollout.tensor_parallel=3"],
        ["rollout.tensor_parallel", "3 GPUs per copy of the model do not fit 8 GPUs", "use 2 or 4"],
    ),
    "tensor parallelism beyond the GPUs": (
        ["stages.stage-one.rollout.tensor_parallel=16"],
        ["16 GPUs per copy of the model do not fit 8 GPUs", "use 8"],
    ),
    "keep_best with checkpoints that are not validated": (
        ["stages.stage-one.keep_best=true", "stages.stage-one.save_every=500", "stages.stage-one.validate_every=200"],
        ["save_every 500", "validate_every 200", "save_every is 400"],
    ),
    "a template that replaces the next stage's chat template": (
        ["stages.sft.template=chatml"],
        ["sft.template", "chatml would replace the model's chat template", "stage stage-one", "qwen"],
    ),
    "an unknown template": (["stages.sft.template=quen"], ["no template 'quen'", "did you mean 'qwen'?"]),
}


Refuse = Callable[..., list[str]]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refuse:
    """Call the command in an empty folder, which must stay empty; return the lines of the error."""
    monkeypatch.chdir(tmp_path)

    def call(command: str, sets: list[str]) -> list[str]:
        words = [word for each in sets for word in ("--set", each)]
        monkeypatch.setattr(sys, "argv", ["pipeline", command, "execverify.yaml", *words])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        out, err = capsys.readouterr()
        assert (exited.value.code, out) == (2, "")
        assert err.startswith("error: ")
        assert list(tmp_path.iterdir()) == []
        return err.splitlines()

    return call


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_started(refuse: Refuse, mistake: str, command: str) -> None:
    sets, words = MISTAKES[mistake]
    (line,) = refuse(command, sets)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("command", ["check", "run"])
def test_all_mistakes_are_reported(refuse: Refuse, command: str) -> None:
    several = [
        "stages.sft.template=chatml",
        "stages.stage-one.rollout.tensor_parallel=3",
        "stages.stage-two.batch.micro_per_gpu=5",
    ]
    assert len(refuse(command, several)) == 3
