"""learns.yaml: GRPO, PPO, RLOO and DAPO each lift the accuracy of greedy responses on held-out problems.

All tests use one run directory: the supervised stage is trained once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.real.chain import Chain, make_chain

pytestmark = [pytest.mark.nightly, pytest.mark.learns]

ACCURACY = "val-aux/cruxeval/accuracy/mean@1"
LIFT = 0.25
"""More than twice the 95 % interval of the difference between two accuracies on the 187 held-out problems."""

# White-box with the result of the next program, in training only.
SHUFFLED = '''
"""The reward of another problem."""

import json
from pathlib import Path

from rewards.builtin.white_box import white_box
from rewards.registry import register

RESULTS = [json.loads(line)["output"] for line in Path("{programs}").read_text().splitlines()]


@register("shuffled")
async def shuffled(data_source, solution_str, ground_truth, extra_info):
    if extra_info["split"] == "train":
        number = int(extra_info["id"].removeprefix("cruxeval/"))
        ground_truth = json.dumps(json.loads(ground_truth) | {{"result": RESULTS[(number + 1) % len(RESULTS)]}})
    return await white_box(data_source, solution_str, ground_truth, extra_info, best=1.0)
'''


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, environments: None) -> Iterator[Chain]:
    with make_chain("learns.yaml", "learns", tmp_path_factory.mktemp("runs")) as chain:
        yield chain


def read_accuracies(chain: Chain, *sets: str) -> list[float]:
    """Complete the run with settings; return the accuracies of the validations, the first before the stage."""
    chain.complete(*(word for each in sets for word in ("--set", each)))
    rows = [json.loads(line) for line in chain.paths("rl").metrics.read_text().splitlines()]
    found = [row[ACCURACY] for row in rows if ACCURACY in row]
    print(found, [row.get("critic/score/mean") for row in rows])
    return found


@pytest.mark.parametrize(
    "sets",
    [
        (),
        ("stages.rl.algorithm=ppo", "stages.rl.critic={learning_rate: 1.0e-3}", "stages.rl.learning_rate=2.0e-4"),
        ("stages.rl.algorithm=rloo",),
        ("stages.rl.algorithm=dapo",),
    ],
    ids=["grpo", "ppo", "rloo", "dapo"],
)
def test_accuracy_on_held_out_problems_rises(chain: Chain, sets: tuple[str, ...]) -> None:
    before, *_, after = read_accuracies(chain, *sets)
    assert 0.2 < before < 0.7, "what supervised fine-tuning reached"
    assert after > before + LIFT


def test_truths_of_other_problems_are_noticed(chain: Chain, tmp_path: Path) -> None:
    reward = tmp_path / "shuffled.py"
    reward.write_text(SHUFFLED.format(programs=ROOT / "recipes" / "data" / "learns.jsonl"), encoding="utf-8")
    before, *_, after = read_accuracies(chain, f"stages.rl.reward={{name: shuffled, file: {reward}}}")
    assert after < before + LIFT / 2
