"""A tiny model that was taught to call the interpreter calls it over several turns in verl, and is rewarded for the answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.run import process
from pipelines.run.plan import stage_paths
from pipelines.trainers.base import StagePaths

pytestmark = pytest.mark.smoke

# A reward that needs no sandbox: the tool's does not answer.
OWN_REWARD = """
from rewards.registry import register

@register("last_number")
def last_number(data_source, solution_str, ground_truth, extra_info):
    return float(solution_str.rpartition("#### ")[2].strip() == ground_truth)
"""


class Chain:
    """`pipeline run smoke_interpreter.yaml` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder
        self.directory = folder / "smoke_interpreter"

    def run(self, *options: str) -> None:
        pipeline = Path(sys.executable).with_name("pipeline")
        argv = [pipeline, "run", "smoke_interpreter.yaml", "--runs", self.runs, "--set", "hardware.platform=cpu", *options]
        done = subprocess.run(argv, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def paths(self) -> StagePaths:
        return stage_paths(self.directory, "rl")

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.paths.metrics.read_text().splitlines()]

    @property
    def responses(self) -> list[dict[str, Any]]:
        """The conversations that verl wrote down, of all steps."""
        files = sorted((self.paths.step("train") / "rollouts").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, trainer_python: Callable[[str], Path]) -> Iterator[Chain]:
    for trainer in ("llamafactory", "verl"):
        trainer_python(trainer)
    made = Chain(tmp_path_factory.mktemp("runs"))
    made.run()
    yield made
    process.end_leftovers(made.directory)
    shutil.rmtree(made.runs)


def replies(response: str) -> list[str]:
    """What the tool said in it."""
    return [each.partition("\n</tool_response>")[0] for each in response.split("<tool_response>\n")[1:]]


def test_the_tool_is_called_over_several_turns(chain: Chain) -> None:
    for step in chain.steps:
        assert step["tool/calls/max"] >= 2
        assert step["tool/calls/mean"] > 1, "most responses call it twice"
        assert step["num_turns/max"] >= 6, "the prompt, two calls, two replies and the answer"
        assert step["tool/failures/max"] == step["tool/timeouts/max"] == 0
        assert step["tool/seconds/mean"] > 0
        for name in ("errors", "malformed", "cut"):
            assert step[f"tool/{name}/mean"] < step["tool/calls/mean"] / 4


def test_prompts_have_the_tokens_that_were_counted(chain: Chain) -> None:
    counted = json.loads(chain.paths.prompts.read_text())["files"]["train"]
    for step in chain.steps:
        assert step["prompt_length/max"] <= counted["longest"]
        assert step["prompt_length/mean"] == pytest.approx(counted["mean"], abs=3), "the tool's schema is some 120 of them"


def test_a_call_uses_what_the_one_before_it_computed(chain: Chain) -> None:
    """The second call says `b = a + a`: it would fail, were the variables gone."""
    pairs = [replies(each["output"]) for each in chain.responses]
    both = [said for said in pairs if len(said) == 2 and all(each.isdigit() for each in said)]
    assert len(both) > len(pairs) / 2
    named = [each["output"] for each in chain.responses if "b = a + a" in each["output"]]
    assert len(named) > len(pairs) / 2


def test_what_the_tool_said_is_the_answer_and_earns_what_no_guess_does(chain: Chain) -> None:
    right = [each for each in chain.responses if each["score"] > 1.0]
    assert len(right) >= 4
    for each in right:
        assert replies(each["output"])[-1] == each["gts"]
        assert each["output"].endswith(f"#### {each['gts']}")
    # 1 for the number and 0.1 for calls
    assert max(step["critic/score/max"] for step in chain.steps) == pytest.approx(1.1)
    assert any(step["critic/advantages/max"] > 0 > step["critic/advantages/min"] for step in chain.steps)


def test_the_rollout_is_the_policy_on_what_the_model_wrote(chain: Chain) -> None:
    """The tool's tokens are no part of it: they have no probability in the rollout."""
    assert all(step["training/rollout_actor_probs_pearson_corr"] > 0.999 for step in chain.steps)


def test_a_service_that_does_not_answer_is_counted_and_the_training_goes_on(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_REWARD)
    reward = f"stages.rl.reward={{name: last_number, file: {tmp_path}/own.py}}"
    # Each call is tried for seconds, and few at a time: eight responses.
    batch = "stages.rl.batch={prompts: 4, mini: 4, micro_per_gpu: 4}"
    sets = ("sandbox.url=http://127.0.0.1:9", reward, "stages.rl.steps=1", batch, "stages.rl.rollout.samples=2")
    chain.run(*(each for told in sets for each in ("--set", told)))
    (step,) = chain.steps
    assert step["tool/failures/max"] >= 1
    assert step["tool/failures/mean"] + step["tool/malformed/mean"] == pytest.approx(step["tool/calls/mean"])
    said = [reply for each in chain.responses for reply in replies(each["output"])]
    assert set(said) == {"[the code was not run: the interpreter does not answer; all variables are gone]"}
