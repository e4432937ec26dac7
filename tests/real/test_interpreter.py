"""smoke_interpreter.yaml with PPO: a tiny model learns to call the interpreter and is rewarded in verl.

The recipe's own algorithm, GRPO, trains in other tests; PPO's critic is trained here, so that no other run is needed for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.records.samples import read_headers, read_samples, sample_steps
from tests.real.chain import Chain, make_chain

pytestmark = pytest.mark.real

PPO = (
    "--set",
    "stages.rl.algorithm=ppo",
    "--set",
    "stages.rl.critic={learning_rate: 1.0e-3}",
    "--set",
    "stages.rl.validate_every=2",
)

# A reward that needs no sandbox, because the sandbox does not answer.
CUSTOM_REWARD = """
from rewards.registry import register

@register("last_number")
def last_number(data_source, solution_str, ground_truth, extra_info):
    return float(solution_str.rpartition("#### ")[2].strip() == ground_truth)
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, environments: None) -> Iterator[Chain]:
    with make_chain("smoke_interpreter.yaml", "smoke_interpreter", tmp_path_factory.mktemp("runs")) as chain:
        chain.complete(*PPO)
        yield chain


def read_steps(chain: Chain) -> list[dict[str, Any]]:
    """Return the metrics of the training steps, without the validation before them."""
    rows = [json.loads(line) for line in chain.paths("rl").metrics.read_text().splitlines()]
    return [row for row in rows if "training/global_step" in row]


def read_responses(chain: Chain) -> list[dict[str, Any]]:
    """Return the conversations of all steps, as verl dumped them."""
    files = sorted((chain.paths("rl").step("train") / "rollouts").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def replies(response: str) -> list[str]:
    """Return the tool's replies in a response."""
    return [each.partition("\n</tool_response>")[0] for each in response.split("<tool_response>\n")[1:]]


def test_tool_is_called_over_several_turns(chain: Chain) -> None:
    for step in read_steps(chain):
        assert step["tool/calls/max"] >= 2
        assert step["tool/calls/mean"] > 1, "most responses call it twice"
        assert step["num_turns/max"] >= 6, "the prompt, two calls, two replies and the answer"
        assert step["tool/failures/max"] == step["tool/timeouts/max"] == 0
        assert step["tool/seconds/mean"] > 0
        for name in ("errors", "malformed", "cut"):
            assert step[f"tool/{name}/mean"] < step["tool/calls/mean"] / 4


def test_prompts_have_the_counted_tokens(chain: Chain) -> None:
    counted = json.loads(chain.paths("rl").prompts.read_text())["files"]["train"]
    for step in read_steps(chain):
        assert step["prompt_length/max"] <= counted["longest"]
        assert step["prompt_length/mean"] == pytest.approx(counted["mean"], abs=3), "about 120 of them are the tool's schema"


def test_a_call_uses_variables_of_the_call_before(chain: Chain) -> None:
    """The second call is `b = a + a`; it fails if the session lost its variables."""
    pairs = [replies(each["output"]) for each in read_responses(chain)]
    both = [pair for pair in pairs if len(pair) == 2 and all(each.isdigit() for each in pair)]
    assert len(both) > len(pairs) / 2
    named = [each["output"] for each in read_responses(chain) if "b = a + a" in each["output"]]
    assert len(named) > len(pairs) / 2


def test_answers_from_the_tool_get_full_reward(chain: Chain) -> None:
    right = [each for each in read_responses(chain) if each["score"] > 1.0]
    assert len(right) >= 4
    for each in right:
        assert replies(each["output"])[-1] == each["gts"]
        assert each["output"].endswith(f"#### {each['gts']}")
    # 1 for the number and 0.1 for calls
    assert max(step["critic/score/max"] for step in read_steps(chain)) == pytest.approx(1.1)
    assert any(step["critic/advantages/max"] > 0 > step["critic/advantages/min"] for step in read_steps(chain))


def test_samples_are_kept_with_the_replies_of_the_tool(chain: Chain) -> None:
    """They are some of the responses that verl dumps, whole groups, with what verl rewarded them."""
    paths = chain.paths("rl")
    assert [(each.step, each.samples, each.responses) for each in read_headers(paths, "train")] == [(1, 16, 32), (2, 16, 32)]
    dumped = {(each["step"], each["input"], each["output"], round(each["score"], 4)) for each in read_responses(chain)}
    samples = list(read_samples(paths, "train"))
    assert {(each.step, each.prompt, each.response, round(each.score, 4)) for each in samples} <= dumped
    assert [each.number for each in samples] == 8 * [0, 1, 2, 3]
    assert any(each.calls == len(replies(each.response)) == 2 for each in samples)
    for each in samples:
        assert each.values.keys() == {"accuracy", "has_accuracy", "format", "failed"}
        assert 0 < each.tokens <= 192 and each.prompt_tokens > 100 and each.truth
        assert "well-formed calls" in each.reason or each.score == 0.0


def test_validations_keep_the_same_rows(chain: Chain) -> None:
    paths = chain.paths("rl")
    assert sample_steps(paths, "validation") == [0, 2]
    before, after = ([(each.row, each.prompt) for each in read_samples(paths, "validation", [step])] for step in (0, 2))
    assert before == after and before
    for step in read_steps(chain):
        assert not [name for name in step if "reasons" in name], "verl logs what it logs without samples"


def test_rollout_is_the_policy_on_the_models_tokens(chain: Chain) -> None:
    """The tool's tokens are excluded: they have no probability in the rollout."""
    assert all(step["training/rollout_actor_probs_pearson_corr"] > 0.999 for step in read_steps(chain))


def test_the_critic_is_trained(chain: Chain) -> None:
    steps = read_steps(chain)
    assert len(steps) == 2
    for step in steps:
        assert math.isfinite(step["critic/vf_loss"])
        assert step["critic/grad_norm"] > 0
    newest = max(chain.paths("rl").checkpoints.glob("global_step_*"))
    assert list((newest / "critic").glob("model_*.pt"))


@pytest.mark.nightly
def test_failures_of_a_dead_service_are_counted_and_training_continues(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "reward.py").write_text(CUSTOM_REWARD)
    reward = f"stages.rl.reward={{name: last_number, file: {tmp_path}/reward.py}}"
    # Eight responses, because each call is retried for seconds, a few at a time.
    batch = "stages.rl.batch={prompts: 4, mini: 4, micro_per_gpu: 4}"
    sets = ("sandbox.url=http://127.0.0.1:9", reward, "stages.rl.steps=1", batch, "stages.rl.rollout.samples=2")
    chain.complete(*(word for each in sets for word in ("--set", each)))
    (step,) = read_steps(chain)
    assert step["tool/failures/max"] >= 1
    assert step["tool/failures/mean"] + step["tool/malformed/mean"] == pytest.approx(step["tool/calls/mean"])
    texts = [reply for each in read_responses(chain) for reply in replies(each["output"])]
    assert set(texts) == {"[the code was not run: the interpreter does not answer; all variables are gone]"}
